// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/agenttest"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// cellar is a destination that is a volume: who mounts it, and the server in front of it.
type cellar struct {
	*world
	folder string
	server *agenttest.Container
}

const (
	cellarName = "cellar"
	cellarHost = "backup-cellar.tenant-acme.svc.cluster.local"
)

// newCellar is a running database whose only destination is a volume, with a repository that holds nothing yet. While that is
// made, pgBackRest holds the lock that the archive needs, too, and the first segment would wait for a minute.
func newCellar(t *testing.T) *cellar {
	t.Helper()
	c := &cellar{world: newWorld(t)}
	c.folder = c.newVolume()
	c.passphrases[cellarName] = strings.Repeat("cellar-", 16)[:64]
	c.admit(meta.ArchiveClient)
	c.open()
	c.archiving(meta.ArchivingOff)
	c.initdb()
	c.start()
	c.provision()
	c.archiver = c.database.Start("agent", "backup", "serve")
	c.listens(meta.PortPgBackRest)
	c.shell(c.mounting(), "mkdir -p "+engine.LockPath+"; pgbackrest --config="+meta.BackupDir+"/"+meta.KeyPgBackRestConf+" --stanza=main stanza-create")
	c.archiving(meta.ArchivingOn)
	return c
}

// admit writes the Secrets of both kinds of pods; the server is shown a certificate of the client.
func (c *cellar) admit(client string) {
	c.t.Helper()
	cert, key := c.authority.Issue(c.t, client, 201)
	all := []engine.Repository{{
		Destination: v1alpha1.BackupDestination{Name: cellarName, Volume: &v1alpha1.VolumeDestination{Size: resource.MustParse("1Gi")}},
		Number:      1, Generation: 1, Passphrase: c.passphrases[cellarName], Tenant: "acme", InstanceID: instanceID, Host: cellarHost,
		Credentials: map[string][]byte{engine.CredentialCertificate: []byte(cert), engine.CredentialKey: []byte(key)},
	}}
	archive, err := engine.Files(engine.PodArchive, all, engine.Database{})
	if err != nil {
		c.t.Fatal(err)
	}
	archive[meta.KeyStatusToken] = []byte(token)
	job, err := engine.Files(engine.PodJob, all, engine.Database{Host: databaseHost})
	if err != nil {
		c.t.Fatal(err)
	}
	job[meta.KeyEscrowFile] = []byte("age-encrypted keys\n")
	c.publish(c.backup, posix(archive))
	c.publish(c.job, posix(job))
}

// open starts the server.
func (c *cellar) open() {
	c.t.Helper()
	pod := c.database.Sibling(c.t)
	pod.Folder("/tmp", true)
	pod.Mount(c.trust, meta.TrustDir, false)
	pod.Mount(c.folder, meta.RepositoryFolder(cellarName), true)
	cert, key := c.authority.Issue(c.t, cellarHost, 202)
	c.publish(pod.Folder(meta.TLSDir, false), map[string]string{meta.KeyTLSCert: cert, meta.KeyTLSKey: key})
	c.server = pod.Start("agent", "backup", "repository")
	c.listens(meta.PortRepository)
}

// listens waits for a server.
func (c *cellar) listens(port int) {
	c.t.Helper()
	agenttest.Eventually(c.t, "pgBackRest's server", func() error {
		conn, err := c.database.Dial(c.t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// close ends it.
func (c *cellar) close() {
	c.t.Helper()
	c.server.Signal(os.Interrupt)
	if code := c.server.ExitCode(); code != 0 {
		c.t.Fatalf("the server ended with %d:\n%s", code, c.server.Log())
	}
}

// mounting is a pod that has the volume mounted.
func (c *cellar) mounting() *agenttest.Pod {
	c.t.Helper()
	pod := c.backupPod()
	pod.Mount(c.folder, meta.RepositoryFolder(cellarName), true)
	return pod
}

// The database archives through the server, base backups have the volume mounted, and proofs and restores have not.
func TestAVolumeIsBackedUpToProvenAndRestoredFrom(t *testing.T) {
	t.Parallel()
	c := newCellar(t)
	first := c.must(c.mounting(), c.options(cellarName).Args())
	if !first.Backup.Full || first.Catalogue.Backups != 1 {
		t.Fatalf("the first backup is %+v, the catalogue %+v", first.Backup, first.Catalogue)
	}
	c.note(1)
	second := c.must(c.mounting(), c.options(cellarName).Args())
	if second.Backup.Full || second.Catalogue.Backups != 2 {
		t.Fatalf("the second backup is %+v, the catalogue %+v", second.Backup, second.Catalogue)
	}
	c.sql("postgres", "SELECT pg_sleep(1.1)")
	between := c.note(2)
	c.note(3)
	c.sql("postgres", "UPDATE freehold.heartbeat SET at = clock_timestamp()")
	c.handOver()
	agenttest.Eventually(t, "a report that the volume holds the log", func() error {
		report, _ := c.report(token)
		if len(report.Destinations) != 1 || report.Destinations[0].Failure != nil || report.Destinations[0].Until.Before(between) {
			return fmt.Errorf("%+v", report.Destinations)
		}
		return nil
	})
	proven := c.must(c.restorePod(""), c.verifyArgs(engine.VerifyOptions{Destination: cellarName, Target: between, Database: "app",
		Assertions: []v1alpha1.SQLAssertion{{Name: "two-notes", Query: "SELECT count(*) = 2 FROM app.notes"}}}))
	if proven.Recovery.Backup != second.Backup.Label {
		t.Errorf("proven was %s", proven.Recovery.Backup)
	}
	restored := c.must(c.restorePod(c.newVolume()), engine.RestoreOptions{Destination: cellarName, Target: between, InstanceID: instanceID, Restore: "first"}.Args())
	if restored.Recovery.Reached.After(between) || restored.Recovery.Timeline != 2 {
		t.Errorf("restored %+v", restored.Recovery)
	}
	stored := meta.RepositoryFolder(cellarName) + "/acme/" + instanceID + "/g1/"
	if escrow := c.shell(c.mounting(), "cat "+stored+meta.KeyEscrowFile); escrow != "age-encrypted keys\n" {
		t.Errorf("the stored keys are %q", escrow)
	}
	if found := c.shell(c.mounting(), "grep -rl -e notes -e "+c.passphrases[cellarName]+" "+meta.RepositoryDir+" || true"); found != "" {
		t.Errorf("somebody without the key reads in %s", found)
	}

	o := c.options(cellarName)
	o.Type, o.BackupDays, o.PointInTimeDays, o.Verified = v1alpha1.BackupFull, 1, 0, second.Backup.Label // everything has expired.
	third := c.must(c.mounting(), o.Args())
	o.Verified = third.Backup.Label
	last := c.must(c.mounting(), o.ExpireArgs())
	if got := strings.Join(last.Expiry.Removed, ","); got != first.Backup.Label+","+second.Backup.Label || last.Catalogue.Backups != 1 {
		t.Errorf("removed %s, and %+v is left", got, last.Catalogue)
	}
}

// What is wrong with the server of a volume is said of the destination, and not of the database, which has such a server, too.
func TestAVolumeThatDoesNotAnswerIsUnreachable(t *testing.T) {
	t.Parallel()
	c := newCellar(t)
	c.must(c.mounting(), c.options(cellarName).Args())
	verify := c.verifyArgs(engine.VerifyOptions{Destination: cellarName})
	c.close()
	c.fails(c.restorePod(""), engine.FailedUnreachable, "the server in front of the destination's volume does not answer", verify)
	c.sql("postgres", "SELECT pg_create_restore_point('not handed over'), pg_switch_wal()")
	agenttest.Eventually(t, "a report that the volume does not answer", func() error {
		report, _ := c.report(token)
		if len(report.Destinations) != 1 || report.Destinations[0].Failure == nil || report.Destinations[0].Failure.Reason != engine.FailedUnreachable {
			return fmt.Errorf("%+v", report.Destinations)
		}
		return nil
	})
	c.open()
	c.handOver() // Nothing was dropped.
	c.must(c.restorePod(""), verify)
}

// The certificate that lets base backups in at the database's own server is of no use here.
func TestOnlyTheArchiveComesInAtAVolume(t *testing.T) {
	t.Parallel()
	c := newCellar(t)
	c.must(c.mounting(), c.options(cellarName).Args())
	verify := c.verifyArgs(engine.VerifyOptions{Destination: cellarName})
	c.admit(meta.BackupClient)
	c.fails(c.restorePod(""), engine.FailedRefused, "does not let the tenant's pods in", verify)
	c.admit(meta.ArchiveClient)
	c.must(c.restorePod(""), verify)
}
