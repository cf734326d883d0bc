// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// The clock of an S3 site. No process can have a wall clock of its own, so a skewed site is played: a small server in
// its place gives to every request the answer that S3 servers give when their clock is more than 15 minutes away.
const (
	clockGood   = "good"
	clockSkewed = "skewed"
	clockSkew   = 20 * time.Minute
)

func (l Layout) siteClock(s Site) string {
	clock, err := os.ReadFile(l.site(s, "clock"))
	if err != nil {
		return clockGood
	}
	return string(clock)
}

// SetSiteClock lets an S3 site's clock be right ("good") or 20 minutes ahead ("skewed"), and restarts it when it runs.
func SetSiteClock(ctx context.Context, l Layout, progress *Progress, name, clock string) error {
	s, err := l.existingSite(name)
	if err != nil {
		return err
	}
	if s.Kind != SiteS3 {
		return fmt.Errorf("site %s does not look at the time of a request; choose an S3 site", s.Name)
	}
	if possible := []string{clockGood, clockSkewed}; !slices.Contains(possible, clock) {
		return fmt.Errorf("the clock of site %s can be %s, not %q", s.Name, strings.Join(possible, " or "), clock)
	}
	if err := os.WriteFile(l.site(s, "clock"), []byte(clock), 0o600); err != nil {
		return err
	}
	return l.restartSite(ctx, progress, s)
}

// skewedDaemon runs ServeSkewed in the site's place.
func (l Layout) skewedDaemon(s Site, certificate string) daemon {
	return daemon{
		path: lookPath("ip"),
		args: inSite(s, l.self(), "skewed-site", fmt.Sprintf("--listen=%s:%d", s.Address, s.Port),
			"--cert="+certificate+".crt", "--key="+certificate+".key"),
		inputs: []string{certificate + ".crt", l.self()},
	}
}

// ServeSkewed is an S3 server whose clock is wrong: it refuses every request, until ctx ends.
func ServeSkewed(ctx context.Context, listen, cert, key string) error {
	server := &http.Server{Addr: listen, Handler: http.HandlerFunc(refuseForTime), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServeTLS(cert, key); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func refuseForTime(w http.ResponseWriter, r *http.Request) {
	now := time.Now().UTC().Add(clockSkew)
	w.Header().Set("Date", now.Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusForbidden)
	if r.Method == http.MethodHead {
		return
	}
	_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the server's time is too large.</Message>`+
		`<ServerTime>%s</ServerTime><MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds></Error>`, now.Format(time.RFC3339))
}
