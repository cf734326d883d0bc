// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// PodKind says which pods files are for.
type PodKind string

// The kinds of pods.
const (
	// PodArchive is the database pod, which archives, and the pods that verify and restore, which read. Credentials
	// should not permit to remove.
	PodArchive PodKind = "Archive"
	// PodJob is a pod that makes base backups and removes expired ones, over the database's pgBackRest server, and that
	// does the same with the application's data: restic's way to each destination is among its files.
	PodJob PodKind = "Job"
)

// AskSeconds is how often, in seconds, the archiver asks each destination how far it is: as often as the database hands
// its log over. An answer takes about five small requests.
const AskSeconds = 60

// Database is how a pod of kind PodJob reaches the database.
type Database struct {
	// Host is the DNS name of the database pod's Service, which its certificate is for.
	Host string
}

// Files are the data of the Secret that a pod mounts at meta.BackupDir: pgbackrest.conf, destinations.json, and the
// files that they name. What the caller puts beside them (meta.KeyStatusToken, meta.KeyEscrowFile) is not among them.
// Without repositories the archive waits. An error is a *CredentialsError where a Secret is at fault.
func Files(pod PodKind, repositories []Repository, database Database) (map[string][]byte, error) {
	repositories = slices.SortedFunc(slices.Values(repositories), func(a, b Repository) int { return a.Number - b.Number })
	if err := checkNumbers(repositories); err != nil {
		return nil, err
	}
	c := &configuration{pod: pod, files: map[string][]byte{}}
	known := Destinations{Destinations: []Destination{}}
	if pod == PodArchive {
		known.AskSeconds = AskSeconds
	}
	c.global()
	var errs []error
	for _, r := range repositories {
		errs = append(errs, c.repository(r))
		known.Destinations = append(known.Destinations, r.known())
		if pod == PodJob && KeepsFiles(r.Destination) {
			errs = append(errs, c.restic(r))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := c.ends(pod, database); err != nil {
		return nil, err
	}
	c.files[meta.KeyPgBackRestConf] = []byte(c.text.String())
	return c.files, c.destinations(known)
}

// destinations writes destinations.json.
func (c *configuration) destinations(known Destinations) error {
	encoded, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", meta.KeyDestinations, err)
	}
	c.files[meta.KeyDestinations] = append(encoded, '\n')
	return nil
}

// known is what destinations.json says of a repository.
func (r Repository) known() Destination {
	return Destination{Name: string(r.Destination.Name), Repository: r.Number, Generation: r.Generation}
}

func checkNumbers(repositories []Repository) error {
	if len(repositories) > MostRepositories {
		return fmt.Errorf("%d repositories in one configuration are more than %d", len(repositories), MostRepositories)
	}
	for i, r := range repositories {
		if r.Number < 1 || i > 0 && r.Number == repositories[i-1].Number {
			return fmt.Errorf("repository number %d of destination %s is not positive or not the only one", r.Number, r.Destination.Name)
		}
	}
	return nil
}

// configuration collects pgbackrest.conf and the files that it names.
type configuration struct {
	pod   PodKind
	text  strings.Builder
	files map[string][]byte
}

// section begins a section; pairs are options and their values.
func (c *configuration) section(name string, pairs ...string) {
	if c.text.Len() > 0 {
		c.text.WriteByte('\n')
	}
	fmt.Fprintf(&c.text, "[%s]\n", name)
	c.options(pairs...)
}

func (c *configuration) options(pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&c.text, "%s=%s\n", pairs[i], pairs[i+1])
	}
}

// global are the options of every command.
func (c *configuration) global() {
	c.section("global",
		"log-level-console", "warn",
		"log-level-file", "off",
		"lock-path", LockPath,
		"spool-path", meta.SpoolDir,
		"process-max", "2",
		"compress-type", "zst",
		"start-fast", "y",
		// Freehold decides what expires; see Expirable.
		"expire-auto", "n",
		// A destination that is down makes the way of the log to the others longer; a backup waits for it.
		"archive-timeout", "300",
		"db-timeout", "600",
		// On both ends more than each of the two above.
		"protocol-timeout", "660",
		"io-timeout", "10",
	)
}

// RepositoryConf is what the server in front of a volume with backups is configured by, and what it does for its clients: it
// has no key of a repository. A client may do in the volume whatever pgBackRest can, remove what is there included.
func RepositoryConf() []byte {
	c := &configuration{}
	c.section("global", "log-level-file", "off", "lock-path", LockPath, "io-timeout", "10", "protocol-timeout", "660")
	// Some of pgBackRest's commands, such as to list a folder, are about no stanza, and there is only one.
	c.server(meta.PortRepository, meta.ArchiveClient, "*")
	return []byte(c.text.String())
}

// server is pgBackRest's, for clients with one common name and what is about one stanza.
func (c *configuration) server(port int, client, stanza string) {
	c.section("global:server",
		"tls-server-address", "*",
		"tls-server-port", fmt.Sprint(port),
		"tls-server-ca-file", meta.TrustDir+"/"+meta.KeyCACert,
		"tls-server-cert-file", meta.TLSDir+"/"+meta.KeyTLSCert,
		"tls-server-key-file", meta.TLSDir+"/"+meta.KeyTLSKey,
		"tls-server-auth", client+"="+stanza)
}

// LockPath is where pgBackRest keeps its locks in every pod; it must be writable.
const LockPath = "/tmp/pgbackrest"

// ends are the sections that differ between the pods.
func (c *configuration) ends(pod PodKind, database Database) error {
	main := []string{"pg1-path", meta.PGData, "pg1-socket-path", meta.SocketDir, "pg1-port", fmt.Sprint(meta.PortDatabase),
		"pg1-user", meta.BackupRole, "pg1-database", "postgres"}
	switch pod {
	case PodArchive:
		// A dead destination delays the log's way to the healthy ones by 18 × io-timeout. There is no
		// archive-push-queue-max: it would drop the log and report success.
		c.section("global:archive-push", "archive-async", "y", "io-timeout", "1", "archive-timeout", "60")
		c.server(meta.PortPgBackRest, meta.BackupClient, meta.BackupStanza)
	case PodJob:
		if database.Host == "" {
			return errors.New("the configuration of a backup job needs the database's host")
		}
		main = append([]string{
			"pg1-host", database.Host,
			"pg1-host-type", "tls",
			"pg1-host-port", fmt.Sprint(meta.PortPgBackRest),
			"pg1-host-config", meta.BackupDir + "/" + meta.KeyPgBackRestConf,
			"pg1-host-ca-file", meta.TrustDir + "/" + meta.KeyCACert,
			"pg1-host-cert-file", meta.BackupTLSDir + "/" + meta.KeyTLSCert,
			"pg1-host-key-file", meta.BackupTLSDir + "/" + meta.KeyTLSKey,
		}, main...)
	default:
		return fmt.Errorf("there is no pod of kind %q", pod)
	}
	c.section(meta.BackupStanza, main...)
	return nil
}
