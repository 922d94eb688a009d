//go:build darwin || freebsd

package foster

import "github.com/foster-init/foster/internal/wire"

// autoLevel is all that there is.
const autoLevel = wire.Group
