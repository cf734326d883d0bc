// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"strings"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// MostDestinations is how many destinations a policy may have, MostRepositories how many repositories one configuration:
// while keys are rotated, a destination has several, and retired ones are kept for as long as their backups.
const (
	MostDestinations = 4
	MostRepositories = 10 * MostDestinations
)

// Numbers of repositories go up to 256 in pgBackRest. Those of a destination's generations differ, unless there are more
// than roundOfNumbers in between.
const roundOfNumbers = 64

// NumberOf is the number of a repository in every configuration: that of its destination, counted from 0, and of its
// generation.
func NumberOf(destination int, generation int32) int {
	return destination + 1 + MostDestinations*int((max(generation, 1)-1)%roundOfNumbers)
}

// LeastPassphrase is how many characters a passphrase has at least.
const LeastPassphrase = 32

// Repository is one tenant's repository in one destination, and all that is needed to come in.
type Repository struct {
	// Destination of the policy.
	Destination v1alpha1.BackupDestination
	// Number is N in pgBackRest's options repoN-…, from 1; unique among the repositories of one configuration.
	Number int
	// Generation of the repository, from 1; each has a key and a folder of its own.
	Generation int32
	// Passphrase that what is stored is encrypted with: at least LeastPassphrase letters, digits and -_+/=.
	Passphrase string
	// Tenant is the Tenant's name, InstanceID its instance's.
	Tenant, InstanceID string
	// Host is the DNS name of a volume's server; empty for every other kind, and for a volume in another namespace.
	Host string
	// CredentialsSecret is the name of the Secret that Credentials come from, for messages.
	CredentialsSecret string
	// Credentials are the Secret's content. White space around values does not count.
	Credentials map[string][]byte
	// earlier is how it was configured before, for one that cannot be configured anew (AsIn); nil otherwise.
	earlier *earlier
}

// Keys of a Secret with credentials.
const (
	// CredentialAccessKeyID and CredentialSecretAccessKey are for S3.
	CredentialAccessKeyID     = "accessKeyID"
	CredentialSecretAccessKey = "secretAccessKey"
	// CredentialServiceAccount is for GCS: the JSON file of a service account's key.
	CredentialServiceAccount = "serviceAccount.json"
	// CredentialAccountKey or CredentialSASToken is for Azure.
	CredentialAccountKey = "accountKey"
	CredentialSASToken   = "sasToken"
	// CredentialSSHKey is for SFTP: a private key without passphrase.
	CredentialSSHKey = "ssh-privatekey"
	// CredentialCertificate and CredentialKey are for a volume: what its server is shown. Freehold makes them itself.
	CredentialCertificate = meta.KeyTLSCert
	CredentialKey         = meta.KeyTLSKey
)

// CredentialsError says what is wrong with a Secret that holds credentials. It never holds a value.
type CredentialsError struct {
	// Destination that the credentials are for, the Secret's name, and the key in it.
	Destination, Secret, Key string
	// Missing says that the key is not there or empty; otherwise its value cannot be used.
	Missing bool
	// Problem says what is wrong, in words.
	Problem string
}

// Error implements error.
func (e *CredentialsError) Error() string {
	return fmt.Sprintf("the credentials of destination %s cannot be used: key %q of Secret %s %s", e.Destination, e.Key, e.Secret, e.Problem)
}

func (r Repository) missing(key string) error {
	return &CredentialsError{Destination: string(r.Destination.Name), Secret: r.CredentialsSecret, Key: key, Missing: true, Problem: "is missing or empty"}
}

func (r Repository) refuse(key, problem string) error {
	return &CredentialsError{Destination: string(r.Destination.Name), Secret: r.CredentialsSecret, Key: key, Problem: problem}
}

// KeepsFiles reports whether a destination takes the application's data. A volume does not: a pod would need both volumes, and
// each of them may be bound to a node of its own.
func KeepsFiles(d v1alpha1.BackupDestination) bool { return d.Volume == nil }

// Path is the folder of the repository in its destination, or where pods see it, if that is a volume.
func (r Repository) Path() string {
	parts := []string{""}
	if prefix := r.prefix(); prefix != "" {
		parts = append(parts, prefix)
	}
	return strings.Join(append(parts, r.Tenant, r.InstanceID, fmt.Sprintf("g%d", r.Generation)), "/")
}

func (r Repository) prefix() string {
	d := r.Destination
	switch {
	case d.S3 != nil:
		return string(d.S3.Prefix)
	case d.GCS != nil:
		return string(d.GCS.Prefix)
	case d.Azure != nil:
		return string(d.Azure.Prefix)
	case d.SFTP != nil:
		return string(d.SFTP.Path)
	case d.Volume != nil:
		return strings.TrimPrefix(meta.RepositoryFolder(string(d.Name)), "/")
	}
	return ""
}

// named puts the tenant's name in for {tenant}.
func (r Repository) named(template string) string {
	return strings.ReplaceAll(template, "{tenant}", r.Tenant)
}

// credential is a value of the Secret that goes into one line of pgbackrest.conf.
func (r Repository) credential(key string) (string, error) {
	value := strings.TrimSpace(string(r.Credentials[key]))
	switch {
	case value == "":
		return "", r.missing(key)
	case strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", r.refuse(key, "holds a space, a line break or another character that credentials never have")
	}
	return value, nil
}
