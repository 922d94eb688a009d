package logs

import "context"

const roleVariable = "FOSTER_TEST_CAPTURE"

func captureUntilKilled(dir string) { _ = context.Background() }
