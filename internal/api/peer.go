package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/sys"
)

// peerKey is under what a connection's verdict is kept.
type peerKey struct{}

// admit asks the kernel who has connected, and notes why it isn't let in; nil: it is.
func admit(ctx context.Context, conn net.Conn, group int) context.Context {
	if c, ok := conn.(*crowdConn); ok {
		conn = c.Conn
	}
	sock, ok := conn.(syscall.Conn)
	if !ok {
		return context.WithValue(ctx, peerKey{}, fmt.Errorf("it isn't known who has connected"))
	}
	uid, groups, err := sys.PeerGroups(sock)
	if err == nil {
		err = verdict(uid, groups, os.Geteuid(), group)
	}
	return context.WithValue(ctx, peerKey{}, err)
}

// verdict says why a user isn't let in; nil: it is.
func verdict(uid int, groups []int, own, group int) error {
	switch {
	case uid == own, uid == 0, group >= 0 && slices.Contains(groups, group):
		return nil
	case group >= 0:
		return fmt.Errorf("user %d isn't let in: only user %d, root and members of group %d are", uid, own, group)
	}
	return fmt.Errorf("user %d isn't let in: only user %d and root are", uid, own)
}

// guard refuses who isn't let in.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err, refused := r.Context().Value(peerKey{}).(error); refused {
			refuse(w, http.StatusForbidden, client.RequestError{
				Text: err.Error(), Hint: "group: in foster.yaml names a group whose members may control the project",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}
