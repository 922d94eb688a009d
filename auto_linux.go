package foster

import "github.com/foster-init/foster/internal/wire"

// autoLevel is what Auto tries first.
const autoLevel = wire.Cgroup
