package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/foster-init/foster/internal/api"
)

// metricsServer answers Prometheus at the address that the project has for it, which an
// update may change.
type metricsServer struct {
	of     api.Supervisor
	failed func(error)

	mu      sync.Mutex
	closed  bool
	address string             // "": only the control socket has them
	end     context.CancelFunc // nil: nothing is served
	ended   chan struct{}
}

// listenMetrics opens the address of a project; nil where it has none.
func listenMetrics(address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	return api.ListenMetrics(address)
}

// move has them served at another address. Where that can't be had, all stays as it is.
func (m *metricsServer) move(address string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || address == m.address {
		return nil
	}
	next, err := listenMetrics(address)
	if err == nil {
		m.begin(address, next)
		return nil
	}
	// The old one may be in the way, as 127.0.0.1:9090 is of 0.0.0.0:9090.
	old := m.address
	m.stop()
	if next, again := listenMetrics(address); again == nil {
		m.begin(address, next)
		return nil
	}
	back, lost := listenMetrics(old)
	if lost != nil {
		return errors.Join(err, fmt.Errorf("nor is there a way back: %w", lost))
	}
	m.begin(old, back)
	return err
}

// serve begins with what was opened.
func (m *metricsServer) serve(address string, l net.Listener) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begin(address, l)
}

// begin ends what was served, and serves a listener; nil: nothing.
func (m *metricsServer) begin(address string, l net.Listener) {
	m.stop()
	if m.address = address; l == nil {
		return
	}
	ctx, end := context.WithCancel(context.Background())
	m.end, m.ended = end, make(chan struct{})
	go func(ended chan<- struct{}) {
		defer close(ended)
		if err := api.ServeMetrics(ctx, l, m.of); err != nil && ctx.Err() == nil {
			m.failed(err)
		}
	}(m.ended)
}

// stop ends what is served, and waits for that.
func (m *metricsServer) stop() {
	if m.end != nil {
		m.end()
		<-m.ended
	}
	m.end, m.address = nil, ""
}

func (m *metricsServer) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.stop()
}
