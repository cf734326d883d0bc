// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// A probe point is a program outside the cluster that says whether it gets into a gate from where it stands. It tries
// nothing but a TLS handshake at port 443 of addresses in networks that were named to it, so that whoever asks it learns
// nothing else.

// gatePort is the only port that a probe point connects to.
const gatePort = "443"

// PointHandler answers GET /reach?address=A with an Outcome.
func PointHandler(networks []netip.Prefix) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /reach", func(w http.ResponseWriter, r *http.Request) {
		address, err := netip.ParseAddr(r.URL.Query().Get("address"))
		if err != nil || !slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(address) }) {
			http.Error(w, "the address is not in a network that this point was told of", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		// Who asked is gone if this fails.
		_ = json.NewEncoder(w).Encode(Dialer{}.withDefaults().enter(r.Context(), net.JoinHostPort(address.String(), gatePort)))
	})
	return mux
}

// enter reports whether a TLS handshake comes about: a gate may take a connection and end it at once.
func (d Dialer) enter(ctx context.Context, address string) Outcome {
	conn, result := d.connect(ctx, address)
	if conn == nil {
		return Outcome{Result: result, Tries: 1}
	}
	_ = conn.Close() // The handshake makes its own.
	if _, err := d.session(ctx, Attempt{Address: address}, &tls.Config{MinVersion: tls.VersionTLS12}, nil); err != nil {
		return Outcome{Result: Refused, Tries: 1}
	}
	return Outcome{Result: Open, Tries: 1}
}

// Point is a probe point as the operator knows it.
type Point struct {
	// Address that its connections come from, as gates see it.
	Address netip.Addr
	// URL at which it answers, such as http://198.51.100.9:9445.
	URL string
}

// Reach asks a point whether it gets into the gate at an address. An Outcome that is Failed means that the point did not
// answer.
func (p Point) Reach(ctx context.Context, id, address string) Outcome {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	outcome, err := p.ask(ctx, address)
	if err != nil {
		outcome = Outcome{Result: Failed, Problem: bounded(err.Error())}
	}
	outcome.ID = id
	return outcome
}

func (p Point) ask(ctx context.Context, address string) (outcome Outcome, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/reach?address="+url.QueryEscape(address), nil)
	if err != nil {
		return outcome, err
	}
	answer, err := new(http.Transport).RoundTrip(request)
	if err != nil {
		return outcome, err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	if answer.StatusCode != http.StatusOK {
		return outcome, fmt.Errorf("the probe point answered %s", answer.Status)
	}
	return outcome, json.NewDecoder(io.LimitReader(answer.Body, 4<<10)).Decode(&outcome)
}
