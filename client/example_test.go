package client_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/foster-init/foster/client"
)

func Example() {
	ctx := context.Background()
	c, err := client.Dial("shop")
	if errors.Is(err, client.ErrNotRunning) {
		fmt.Println("start it with foster up -d")
		return
	}
	defer c.Close()
	if err := c.Restart(ctx, client.Target{App: "web"}); err != nil {
		if failed, ok := errors.AsType[*client.FailedError](err); ok {
			for _, f := range failed.Failures {
				fmt.Println(f.App, f.Replica, f.Text, f.Survivors)
			}
		}
	}
	for event, err := range c.Events(ctx, 0, true) {
		if err != nil {
			break
		}
		fmt.Println(event.Seq, event.App, event.Cause)
	}
}
