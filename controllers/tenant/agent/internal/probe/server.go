// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Answer returns what to tell, and whether the answer is yes (200) or no (503).
type Answer func() (body any, ok bool)

// Handler answers each path with its Answer.
func Handler(paths map[string]Answer) http.Handler {
	mux := http.NewServeMux()
	for path, answer := range paths {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { respond(w, answer) })
	}
	return mux
}

func respond(w http.ResponseWriter, answer Answer) {
	body, ok := answer()
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// The only error is a client that went away.
	_ = json.NewEncoder(w).Encode(body)
}

// Serve answers on the address, given as host:port, until the context ends. It returns when the port is open;
// failures after that end up in the channel.
func Serve(ctx context.Context, address string, handler http.Handler) (<-chan error, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open the port of the probes: %w", err)
	}
	server := &http.Server{Handler: handler, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	failed := make(chan error, 1)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve the probes: %w", err)
		}
	}()
	return failed, nil
}
