//go:build linux

package stub

import _ "embed"

//go:embed stub_linux_arm64
var program []byte
