// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	// askInterval is how often an archiver is asked.
	askInterval = time.Minute
	// askTimeout is how long it may take to answer: it answers from memory.
	askTimeout = 3 * time.Second
	// reportLimit is more than any report has.
	reportLimit = 1 << 20
	// reportCounts is for how long a report says how far the archive is.
	reportCounts = 3*askInterval + 30*time.Second
)

// Asker asks the archiver in a database pod for its report: the host is the database's, the authorities, in PEM, are what
// its certificate is checked against, and the token says that we may.
type Asker func(ctx context.Context, host, token string, authorities []byte) (engine.Report, error)

// ask gets the archiver's report, if it is time, and fills scope.report.
func (r *Reconciler) ask(ctx context.Context, s *scope) error {
	m := s.memory
	switch database := s.observed.database; {
	case s.held() != "" || len(s.observed.authorities) == 0 || m.token == "":
		m.silent = time.Time{} // It is not to answer.
		return nil
	case s.now.Sub(m.asked) < askInterval:
	case database.Status.ReadyReplicas == 0:
		m.asked = s.now
		m.unanswered(s.now, "the database pod is not ready")
	default:
		m.asked = s.now
		report, err := r.options.Ask(ctx, meta.DatabaseHost(s.namespace, r.options.ClusterDomain), m.token, s.observed.authorities)
		if err != nil {
			m.unanswered(s.now, err.Error())
			break
		}
		m.silent, m.why, m.report = time.Time{}, "", &sighting{Report: report, received: s.now}
	}
	if m.report != nil && s.now.Sub(m.report.received) <= reportCounts {
		s.report = m.report
	}
	s.comeBack(m.asked.Add(askInterval).Sub(s.now))
	return nil
}

func (m *memory) unanswered(now time.Time, why string) {
	if m.silent.IsZero() {
		m.silent = now
	}
	m.why = why
}

// askArchiver asks over HTTPS. Connections are not kept: a fleet would hold one for each tenant.
func askArchiver(ctx context.Context, host, token string, authorities []byte) (engine.Report, error) {
	var report engine.Report
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities) {
		return report, errors.New("the tenant's authority is no certificate")
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	where := "https://" + net.JoinHostPort(host, strconv.Itoa(meta.PortArchiver)) + "/report"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where, http.NoBody)
	if err != nil {
		return report, fmt.Errorf("asking the archiver: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := c.Do(request)
	if err != nil {
		return report, fmt.Errorf("asking the archiver: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // Nothing is lost with it.
	if answer.StatusCode != http.StatusOK {
		return report, fmt.Errorf("the archiver at %s answers %s", where, answer.Status)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, reportLimit)).Decode(&report); err != nil {
		return report, fmt.Errorf("the archiver at %s answers what is no report: %w", where, err)
	}
	return report, nil
}

// of is what the report says of a destination; nil if it does not know it.
func (s *sighting) of(d *destination) *engine.ArchiveReport {
	return s.ofGeneration(d, d.status.Generation)
}

// ofGeneration is what the report says of one of a destination's repositories; nil if it does not know it.
func (s *sighting) ofGeneration(d *destination, generation int32) *engine.ArchiveReport {
	if s == nil {
		return nil
	}
	for i, a := range s.Destinations {
		if a.Name == d.name && a.Generation == generation {
			return &s.Destinations[i]
		}
	}
	return nil
}
