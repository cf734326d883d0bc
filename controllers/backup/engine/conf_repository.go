// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// mostRetention is pgBackRest's greatest number of days: nothing expires but what Freehold names.
const mostRetention = "9999999"

var passphrases = regexp.MustCompile(fmt.Sprintf(`^[-A-Za-z0-9_+/=]{%d,}$`, LeastPassphrase))

// repository writes the options of one repository.
func (c *configuration) repository(r Repository) error {
	if r.earlier != nil {
		c.repeat(r)
		return nil
	}
	if !passphrases.MatchString(r.Passphrase) {
		return fmt.Errorf("the passphrase of destination %s is shorter than %d characters or holds others than letters, digits and -_+/=", r.Destination.Name, LeastPassphrase)
	}
	options, err := c.storage(r)
	if err != nil {
		return err
	}
	options = append(options,
		"path", r.Path(),
		"cipher-type", "aes-256-cbc",
		"cipher-pass", r.Passphrase,
		"bundle", "y",
		"block", "y",
		"retention-full-type", "time",
		"retention-full", mostRetention)
	for i := 0; i < len(options); i += 2 {
		if strings.ContainsFunc(options[i+1], func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return fmt.Errorf("destination %s: the value of %s holds a control character", r.Destination.Name, options[i])
		}
		c.options(optionOf(r.Number)+options[i], options[i+1])
	}
	return nil
}

// optionOf is what the options of a repository begin with.
func optionOf(repository int) string { return fmt.Sprintf("repo%d-", repository) }

func (c *configuration) storage(r Repository) ([]string, error) {
	switch {
	case r.Destination.Volume != nil:
		return c.volume(r)
	case r.Destination.S3 != nil:
		return c.s3(r, *r.Destination.S3)
	case r.Destination.GCS != nil:
		return c.gcs(r, *r.Destination.GCS)
	case r.Destination.Azure != nil:
		return azure(r, *r.Destination.Azure)
	case r.Destination.SFTP != nil:
		return c.sftp(r, *r.Destination.SFTP)
	}
	return nil, fmt.Errorf("destination %s is of no kind that this version of Freehold knows", r.Destination.Name)
}

// What follows a destination's name in the names of files that its configuration names.
const (
	caSuffix     = ".ca.crt"
	gcsSuffix    = ".gcs.json"
	sshKeySuffix = ".ssh-key"
	certSuffix   = ".tls.crt"
	keySuffix    = ".tls.key"
)

// file puts a file beside the configuration and returns its path in the pod.
func (c *configuration) file(r Repository, suffix string, content []byte) string {
	c.files[string(r.Destination.Name)+suffix] = content
	return inBackupDir(string(r.Destination.Name), suffix)
}

func (c *configuration) s3(r Repository, s v1alpha1.S3Destination) ([]string, error) {
	id, errID := r.credential(CredentialAccessKeyID)
	secret, errSecret := r.credential(CredentialSecretAccessKey)
	if err := errors.Join(errID, errSecret); err != nil {
		return nil, err
	}
	options := []string{
		"type", "s3",
		"s3-endpoint", string(s.Endpoint),
		"storage-port", fmt.Sprint(or(s.Port, 443)),
		"s3-region", r.Destination.Region,
		"s3-bucket", r.named(s.Bucket),
		"s3-uri-style", map[bool]string{true: "path", false: "host"}[s.URIStyle == v1alpha1.URIStylePath],
		"s3-key", id,
		"s3-key-secret", secret,
	}
	if s.CABundle == "" {
		return options, nil
	}
	if err := checkAuthorities(s.CABundle); err != nil {
		return nil, fmt.Errorf("caBundle of destination %s cannot be used: %w", r.Destination.Name, err)
	}
	return append(options, "storage-ca-file", c.file(r, caSuffix, []byte(s.CABundle))), nil
}

func or(value, fallback int32) int32 {
	if value == 0 {
		return fallback
	}
	return value
}

// checkAuthorities refuses what OpenSSL would not read to the end.
func checkAuthorities(bundle string) error {
	rest, found := []byte(bundle), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("it holds a %s", strings.ToLower(block.Type))
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("certificate %d in it does not parse: %w", found+1, err)
		}
		found++
	}
	if found == 0 {
		return errors.New("it holds no certificate in PEM")
	}
	return nil
}

func (c *configuration) gcs(r Repository, g v1alpha1.GCSDestination) ([]string, error) {
	raw := r.Credentials[CredentialServiceAccount]
	if len(raw) == 0 {
		return nil, r.missing(CredentialServiceAccount)
	}
	var account struct {
		Email string `json:"client_email"`
		Key   string `json:"private_key"`
		Token string `json:"token_uri"`
	}
	if err := json.Unmarshal(raw, &account); err != nil || account.Email == "" || account.Key == "" || account.Token == "" {
		return nil, r.refuse(CredentialServiceAccount, "is not the JSON file of a service account's key, with client_email, private_key and token_uri")
	}
	return []string{
		"type", "gcs",
		"gcs-bucket", r.named(g.Bucket),
		"gcs-key-type", "service",
		"gcs-key", c.file(r, gcsSuffix, raw),
	}, nil
}

func azure(r Repository, a v1alpha1.AzureDestination) ([]string, error) {
	hasKey, hasToken := len(r.Credentials[CredentialAccountKey]) > 0, len(r.Credentials[CredentialSASToken]) > 0
	name, kind := CredentialAccountKey, "shared"
	switch {
	case hasKey && hasToken:
		return nil, r.refuse(CredentialAccountKey, "stands beside "+CredentialSASToken+"; remove one of the two")
	case hasToken:
		name, kind = CredentialSASToken, "sas"
	}
	key, err := r.credential(name)
	if err != nil {
		return nil, err
	}
	return []string{
		"type", "azure",
		"azure-account", a.Account,
		"azure-container", r.named(a.Container),
		"azure-key-type", kind,
		// The portal shows a token with the question mark of its URL.
		"azure-key", strings.TrimPrefix(key, "?"),
	}, nil
}

func (c *configuration) sftp(r Repository, s v1alpha1.SFTPDestination) ([]string, error) {
	key := r.Credentials[CredentialSSHKey]
	if len(key) == 0 {
		return nil, r.missing(CredentialSSHKey)
	}
	block, _ := pem.Decode(key)
	switch {
	case block == nil || !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, r.refuse(CredentialSSHKey, "is not a private key as ssh-keygen writes it")
	case protected(block):
		return nil, r.refuse(CredentialSSHKey, "is a private key that is protected by a passphrase, which nobody is there to type")
	}
	fingerprint, err := fingerprint(s.HostKeyFingerprint)
	if err != nil {
		return nil, fmt.Errorf("hostKeyFingerprint of destination %s: %w", r.Destination.Name, err)
	}
	return []string{
		"type", "sftp",
		"sftp-host", string(s.Host),
		"sftp-host-port", fmt.Sprint(or(s.Port, 22)),
		"sftp-host-user", r.named(s.User),
		"sftp-host-key-check-type", "fingerprint",
		"sftp-host-key-hash-type", "sha256",
		"sftp-host-fingerprint", fingerprint,
		"sftp-private-key-file", c.file(r, sshKeySuffix, key),
	}, nil
}

// volume is reached through its server by the database pod, and by restores, which so may run on any node. Base backups have
// it mounted: pgBackRest makes none while both the database and the repository are remote.
func (c *configuration) volume(r Repository) ([]string, error) {
	if c.pod == PodJob {
		return []string{"type", "posix"}, nil
	}
	certificate, key := r.Credentials[CredentialCertificate], r.Credentials[CredentialKey]
	switch {
	case r.Host == "":
		return nil, fmt.Errorf("destination %s is a volume in another namespace, which no pod of this one can reach", r.Destination.Name)
	case len(certificate) == 0:
		return nil, r.missing(CredentialCertificate)
	case len(key) == 0:
		return nil, r.missing(CredentialKey)
	}
	return []string{
		"host", r.Host,
		"host-type", "tls",
		"host-port", fmt.Sprint(meta.PortRepository),
		"host-config", meta.RepositoryConf,
		"host-ca-file", meta.TrustDir + "/" + meta.KeyCACert,
		"host-cert-file", c.file(r, certSuffix, certificate),
		"host-key-file", c.file(r, keySuffix, key),
	}, nil
}

// protected says that a private key is encrypted, in any of the three formats that ssh-keygen writes.
func protected(block *pem.Block) bool {
	const unprotected = "openssh-key-v1\x00\x00\x00\x00\x04none"
	return block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" ||
		block.Type == "OPENSSH PRIVATE KEY" && !strings.HasPrefix(string(block.Bytes), unprotected)
}

// fingerprint turns what ssh-keygen prints (base64 without padding) into what pgBackRest compares with (hexadecimal).
func fingerprint(printed string) (string, error) {
	sum, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(printed, "SHA256:"))
	if err != nil || len(sum) != 32 {
		return "", errors.New("it is not a fingerprint as ssh-keygen -lf prints it: SHA256: and 43 characters")
	}
	return hex.EncodeToString(sum), nil
}
