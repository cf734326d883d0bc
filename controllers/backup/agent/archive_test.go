// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// TestNoSegmentIsEverDropped asks what PostgreSQL is told of a segment: 0 lets it remove the segment.
func TestNoSegmentIsEverDropped(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		archiving    string
		destinations []string
		removeSecret bool
		want         int
		words        string
	}{
		"nothing is to be backed up":         {meta.ArchivingOff, nil, false, 0, ""},
		"nor with a Secret that is left":     {meta.ArchivingOff, []string{"site-a"}, false, 0, ""},
		"a policy without destination":       {meta.ArchivingOn, nil, false, 1, "there is no destination"},
		"a policy whose Secret is not there": {meta.ArchivingOn, nil, true, 1, "there is no destination"},
		"a word that nobody knows":           {"perhaps", nil, false, 1, `says "perhaps"`},
		"a destination":                      {meta.ArchivingOn, []string{"site-a"}, false, 1 << 8, "pgBackRest"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tc.destinations...)
			w.archiving(tc.archiving)
			if tc.removeSecret {
				for _, file := range []string{meta.KeyDestinations, meta.KeyPgBackRestConf} {
					if err := os.Remove(filepath.Join(w.backup, file)); err != nil {
						t.Fatal(err)
					}
				}
			}
			container := w.database.Start("agent", "backup", "archive", "--engine=pgbackrest", "pg_wal/000000010000000000000001")
			switch code := container.ExitCode(); {
			case tc.want == 1<<8 && code <= 1:
				t.Errorf("pgBackRest was not asked; it ended with %d:\n%s", code, container.Log())
			case tc.want <= 1 && code != tc.want:
				t.Errorf("ended with %d, want %d:\n%s", code, tc.want, container.Log())
			case tc.want == 1 && !strings.Contains(container.Log(), tc.words):
				t.Errorf("said %q, want %q", container.Log(), tc.words)
			}
			if left := w.database.TerminationMessage(); left != "" {
				t.Errorf("the server's last words became %q", left)
			}
		})
	}
}

func TestTheArchiverTellsHowFarEachDestinationIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a", "site-b").begin()
	if _, code := w.report(token); code != http.StatusOK {
		t.Fatalf("the report's code is %d:\n%s", code, w.archiver.Log())
	}
	if _, code := w.report("another"); code != http.StatusUnauthorized {
		t.Errorf("a wrong token is answered with %d", code)
	}
	w.backUp("site-a")
	w.backUp("site-b")
	// A new archiver knows nothing of the beats before it; at once it learns what it can.
	w.serveAnew()
	beat, _ := w.report(token)
	w.handOver()
	agenttest.Eventually(t, "that both destinations have the beat", func() error {
		report, _ := w.report(token)
		for _, d := range report.Destinations {
			if d.Failure != nil || d.Until.Before(beat.Heartbeat) {
				return want(false, "%+v", report)
			}
		}
		return want(len(report.Destinations) == 2 && report.SystemIdentifier != "" && report.Timeline == 1 && report.WALBytes > 0 && report.WALVolumeFree > 0, "%+v", report)
	})
	// Another beat may come between the two looks; then the next two agree.
	agenttest.Eventually(t, "that the report tells the beat that the database holds", func() error {
		told, _ := w.report(token)
		held := value[time.Time](w, "postgres", "SELECT at FROM freehold.heartbeat")
		return want(held.UTC().Equal(told.Heartbeat), "the database holds a beat of %s, the report said %s", held, told.Heartbeat)
	})
}

func TestNewCertificatesAreServedWithoutARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a").begin()
	cert, key := w.authority.Issue(t, databaseHost, 200)
	w.publish(w.tls, map[string]string{meta.KeyTLSCert: cert, meta.KeyTLSKey: key})
	for _, port := range []int{meta.PortPgBackRest, meta.PortArchiver} {
		agenttest.Eventually(t, fmt.Sprintf("the new certificate on port %d", port), func() error {
			serial, err := w.serial(port)
			if err != nil {
				return err
			}
			return want(serial == 200, "%d", serial)
		})
	}
	w.backUp("site-a")
}

// serial of the certificate that is shown at a port.
func (w *world) serial(port int) (int64, error) {
	raw, err := w.database.Dial(w.t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return 0, err
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{RootCAs: w.authority.Pool(), ServerName: databaseHost, MinVersion: tls.VersionTLS12})
	if err := conn.HandshakeContext(w.t.Context()); err != nil {
		return 0, err
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

func TestADestinationThatFailsIsNamedAndTheOthersAreNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "site-a", "site-b").begin()
	w.backUp("site-a")
	w.backUp("site-b")
	// From now on the archiver has another key for site-a.
	w.passphrases["site-a"] = strings.Repeat("wrong-", 16)
	w.configure("site-a", "site-b")
	w.serveAnew()
	agenttest.Eventually(t, "that the wrong key is seen", func() error {
		report, _ := w.report(token)
		if len(report.Destinations) != 2 {
			return want(false, "%+v", report)
		}
		a, b := report.Destinations[0], report.Destinations[1]
		return want(a.Failure != nil && a.Failure.Reason == engine.FailedKey && !a.Since.IsZero() && b.Failure == nil && !b.AnsweredAt.IsZero(), "%+v", report)
	})
	w.fails(w.backupPod(), engine.FailedKey, "site-a", w.options("site-a").Args())
	if second := w.backUp("site-b"); second.Catalogue.Backups != 2 {
		t.Errorf("site-b holds %+v", second.Catalogue)
	}
}
