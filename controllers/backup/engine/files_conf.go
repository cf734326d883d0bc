// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// FilesFolder is the folder of the application's data in a tenant's repository, beside pgBackRest's own.
const FilesFolder = "files"

// Restic is how restic reaches one repository: the content of a file ResticFile. It holds keys.
type Restic struct {
	// Repository is its URL.
	Repository string `json:"repository"`
	// Passphrase is the one of the database's repository.
	Passphrase string `json:"passphrase"`
	// Options go before every command.
	Options []string `json:"options,omitempty"`
	// Environment are variables with the credentials.
	Environment map[string]string `json:"environment,omitempty"`
}

// ResticFile is the name of the file with how restic reaches a repository.
func ResticFile(destination string, generation int32) string {
	if generation > 1 {
		destination += fmt.Sprintf(".g%d", generation)
	}
	return destination + meta.ResticSuffix
}

// ParseRestic reads what ApplicationFiles wrote.
func ParseRestic(raw []byte) (Restic, error) {
	var r Restic
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("reading how restic reaches the destination: %w", err)
	}
	return r, nil
}

// ApplicationFiles are the data of meta.BackupFilesSecret, which a pod mounts at meta.BackupDir: destinations.json, how
// restic reaches each destination, and the files that this names. A pod of kind PodJob has them among its Files. An error
// is a *CredentialsError where a Secret is at fault.
func ApplicationFiles(repositories []Repository) (map[string][]byte, error) {
	c := &configuration{files: map[string][]byte{}}
	known := Destinations{Destinations: []Destination{}}
	var errs []error
	for _, r := range repositories {
		if !KeepsFiles(r.Destination) {
			continue
		}
		errs = append(errs, c.restic(r))
		known.Destinations = append(known.Destinations, r.known())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c.files, c.destinations(known)
}

// restic writes how restic reaches one repository.
func (c *configuration) restic(r Repository) error {
	// The same is checked, and the same files are named, as for pgBackRest.
	beside := &configuration{files: c.files}
	if err := beside.repository(r); err != nil || r.earlier != nil {
		return err // A repository that is repeated brings restic's file along.
	}
	made, err := r.restic()
	if err != nil {
		return err
	}
	encoded, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return fmt.Errorf("writing how restic reaches destination %s: %w", r.Destination.Name, err)
	}
	c.files[ResticFile(string(r.Destination.Name), r.Generation)] = append(encoded, '\n')
	return nil
}

// restic is how restic reaches the repository. Its credentials have been checked.
func (r Repository) restic() (Restic, error) {
	made := Restic{Passphrase: r.Passphrase}
	name, folder := string(r.Destination.Name), r.Path()+"/"+FilesFolder
	value := func(key string) string { return strings.TrimSpace(string(r.Credentials[key])) }
	switch d := r.Destination; {
	case d.S3 != nil:
		port := fmt.Sprint(or(d.S3.Port, 443))
		made.Repository = "s3:https://" + net.JoinHostPort(string(d.S3.Endpoint), port) + "/" + r.named(d.S3.Bucket) + folder
		lookup := map[bool]string{true: "path", false: "dns"}[d.S3.URIStyle == v1alpha1.URIStylePath]
		made.Options = []string{"--option=s3.bucket-lookup=" + lookup, "--option=s3.region=" + d.Region}
		if d.S3.CABundle != "" {
			made.Options = append(made.Options, "--cacert="+inBackupDir(name, caSuffix))
		}
		made.Environment = map[string]string{"AWS_ACCESS_KEY_ID": value(CredentialAccessKeyID), "AWS_SECRET_ACCESS_KEY": value(CredentialSecretAccessKey)}
	case d.GCS != nil:
		made.Repository = "gs:" + r.named(d.GCS.Bucket) + ":" + folder
		made.Environment = map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": inBackupDir(name, gcsSuffix)}
	case d.Azure != nil:
		made.Repository = "azure:" + r.named(d.Azure.Container) + ":" + folder
		made.Environment = map[string]string{"AZURE_ACCOUNT_NAME": d.Azure.Account}
		if token := value(CredentialSASToken); token != "" {
			// The portal shows a token with the question mark of its URL.
			made.Environment["AZURE_ACCOUNT_SAS"] = strings.TrimPrefix(token, "?")
		} else {
			made.Environment["AZURE_ACCOUNT_KEY"] = value(CredentialAccountKey)
		}
	case d.SFTP != nil:
		server := SFTPServer{Host: string(d.SFTP.Host), Port: or(d.SFTP.Port, 22), User: r.named(d.SFTP.User),
			HostKeyFingerprint: d.SFTP.HostKeyFingerprint, KeyFile: inBackupDir(name, sshKeySuffix)}
		address := url.URL{Scheme: "sftp", User: url.User(server.User), Host: net.JoinHostPort(server.Host, fmt.Sprint(server.Port)), Path: "/" + folder}
		made.Repository = address.String()
		made.Options = []string{"--option=sftp.command=" + strings.Join(server.command(), " ")}
	default:
		return Restic{}, fmt.Errorf("destination %s is of no kind that this version of Freehold knows", name)
	}
	return made, nil
}

// SFTPServer is what `freehold agent backup sftp` is told, which restic speaks SFTP through.
type SFTPServer struct {
	Host string
	Port int32
	User string
	// HostKeyFingerprint is SHA256: and 43 characters, as ssh-keygen -lf prints it.
	HostKeyFingerprint string
	// KeyFile holds the private key.
	KeyFile string
}

// command is the program and its arguments. None of them holds a space or a quote: restic splits it like a shell.
func (s SFTPServer) command() []string {
	return []string{meta.AgentBinary, "agent", "backup", "sftp", "--host=" + s.Host, fmt.Sprintf("--port=%d", s.Port), "--user=" + s.User,
		"--host-key-fingerprint=" + s.HostKeyFingerprint, "--key-file=" + s.KeyFile}
}

func inBackupDir(name, suffix string) string { return meta.BackupDir + "/" + name + suffix }
