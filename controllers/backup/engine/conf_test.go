// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

var update = flag.Bool("update", false, "write the golden files anew")

const passphrase = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func s3(uriStyle v1alpha1.URIStyle, port int32, bundle string) Repository {
	return Repository{
		Destination: v1alpha1.BackupDestination{Name: "site-a", Region: "eu-central-1", S3: &v1alpha1.S3Destination{
			Endpoint: "s3.example.com", Port: port, Bucket: "freehold-{tenant}", Prefix: "backups/production", URIStyle: uriStyle, CABundle: bundle,
		}},
		Number: 1, Generation: 1, Passphrase: passphrase, Tenant: "acme", InstanceID: "acme-5f3k", CredentialsSecret: "site-a-acme",
		Credentials: map[string][]byte{CredentialAccessKeyID: []byte("AKIDEXAMPLE\n"), CredentialSecretAccessKey: []byte("wJalr/XUtn+FEMI=#;[x]\n")},
	}
}

func gcs() Repository {
	return Repository{
		Destination: v1alpha1.BackupDestination{Name: "gcs", GCS: &v1alpha1.GCSDestination{Bucket: "freehold"}},
		Number:      2, Generation: 3, Passphrase: passphrase, Tenant: "acme", InstanceID: "acme-5f3k", CredentialsSecret: "gcs-acme",
		Credentials: map[string][]byte{CredentialServiceAccount: []byte(`{"client_email":"a@b.iam.gserviceaccount.com","private_key":"-----BEGIN","token_uri":"https://oauth2.googleapis.com/token"}`)},
	}
}

func azureWith(key, value string) Repository {
	return Repository{
		Destination: v1alpha1.BackupDestination{Name: "azure", Azure: &v1alpha1.AzureDestination{Account: "freehold", Container: "{tenant}", Prefix: "x"}},
		Number:      3, Generation: 1, Passphrase: passphrase, Tenant: "acme", InstanceID: "acme-5f3k", CredentialsSecret: "azure-acme",
		Credentials: map[string][]byte{key: []byte(value)},
	}
}

func sftp() Repository {
	return Repository{
		Destination: v1alpha1.BackupDestination{Name: "cellar", SFTP: &v1alpha1.SFTPDestination{
			Host: "sftp.example.com", Port: 2222, User: "fh-{tenant}", Path: "backups",
			HostKeyFingerprint: "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
		}},
		Number: 4, Generation: 1, Passphrase: passphrase, Tenant: "acme", InstanceID: "acme-5f3k", CredentialsSecret: "cellar-acme",
		Credentials: map[string][]byte{CredentialSSHKey: sshKey("openssh-key-v1\x00\x00\x00\x00\x04none\x00")},
	}
}

func volume() Repository {
	return Repository{
		Destination: v1alpha1.BackupDestination{Name: "shelf", Volume: &v1alpha1.VolumeDestination{Size: resource.MustParse("10Gi")}},
		Number:      2, Generation: 1, Passphrase: passphrase, Tenant: "acme", InstanceID: "acme-5f3k",
		Host:        "backup-shelf.tenant-acme.svc.cluster.local",
		Credentials: map[string][]byte{CredentialCertificate: []byte("certificate"), CredentialKey: []byte("key")},
	}
}

func sshKey(content string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte(content)})
}

func authority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Unix(1<<32, 0)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}

func TestConfigurationsAreTheGoldenOnes(t *testing.T) {
	database := Database{Host: "db.tenant-acme.svc.cluster.local"}
	for name, tc := range map[string]struct {
		pod          PodKind
		repositories []Repository
		files        []string
	}{
		"archive-none":       {PodArchive, nil, nil},
		"archive-s3-path-ca": {PodArchive, []Repository{s3(v1alpha1.URIStylePath, 7443, authority(t))}, []string{"site-a.ca.crt"}},
		"archive-s3-host":    {PodArchive, []Repository{s3("", 0, "")}, nil},
		"archive-four": {PodArchive, []Repository{sftp(), gcs(), azureWith(CredentialAccountKey, "a2V5"), s3(v1alpha1.URIStyleVirtualHost, 443, "")},
			[]string{"cellar.ssh-key", "gcs.gcs.json"}},
		"archive-volume": {PodArchive, []Repository{s3("", 0, ""), volume()}, []string{"shelf.tls.crt", "shelf.tls.key"}},
		"job-volume":     {PodJob, []Repository{s3("", 0, ""), volume()}, []string{"site-a.restic.json"}},
		"job-azure-sas":  {PodJob, []Repository{azureWith(CredentialSASToken, "?sv=2024-11-04&sig=x%3D")}, []string{"azure.restic.json"}},
		"job-s3":         {PodJob, []Repository{s3(v1alpha1.URIStylePath, 443, "")}, []string{"site-a.restic.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := Files(tc.pod, tc.repositories, database)
			if err != nil {
				t.Fatal(err)
			}
			want := append([]string{meta.KeyDestinations, meta.KeyPgBackRestConf}, tc.files...)
			if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
				t.Errorf("files are %v, want %v", got, want)
			}
			golden(t, name+".conf", files[meta.KeyPgBackRestConf])
			golden(t, name+".json", files[meta.KeyDestinations])
		})
	}
}

// The server in front of a volume knows no passphrase, and lets nobody in but who archives and restores.
func TestTheServerOfAVolumeIsConfiguredAsTheGoldenOne(t *testing.T) {
	golden(t, "repository.conf", RepositoryConf())
}

func TestAVolumeTakesNoApplicationData(t *testing.T) {
	files, err := ApplicationFiles([]Repository{s3("", 0, ""), volume()})
	if err != nil {
		t.Fatal(err)
	}
	known, err := ParseDestinations(files[meta.KeyDestinations])
	if err != nil {
		t.Fatal(err)
	}
	if _, found := known.Find("shelf", 1); found || len(known.Destinations) != 1 {
		t.Errorf("restic is told of %+v", known.Destinations)
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is\n%s\nwant\n%s", file, got, want)
	}
}

func TestTheWordsOfDestinationsAreReadBack(t *testing.T) {
	files, err := Files(PodArchive, []Repository{gcs(), s3("", 0, "")}, Database{})
	if err != nil {
		t.Fatal(err)
	}
	known, err := ParseDestinations(files[meta.KeyDestinations])
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := known.Find("gcs", 3); !ok || got != (Destination{Name: "gcs", Repository: 2, Generation: 3}) {
		t.Errorf("found %v, %v", got, ok)
	}
	if known.AskSeconds != AskSeconds {
		t.Errorf("asks every %d s", known.AskSeconds)
	}
}

func TestNothingLimitsTheQueueOfTheLogAndNothingExpiresByItself(t *testing.T) {
	for _, pod := range []PodKind{PodArchive, PodJob} {
		files, err := Files(pod, []Repository{s3("", 0, "")}, Database{Host: "db"})
		if err != nil {
			t.Fatal(err)
		}
		conf := string(files[meta.KeyPgBackRestConf])
		if strings.Contains(conf, "queue-max") {
			t.Error("archive-push-queue-max drops the log and reports success")
		}
		if !strings.Contains(conf, "\nexpire-auto=n\n") || !strings.Contains(conf, "\nrepo1-retention-full="+mostRetention+"\n") {
			t.Errorf("%s: pgBackRest would remove backups by itself:\n%s", pod, conf)
		}
	}
}

// with returns a repository with one of its credentials changed.
func with(r Repository, key, value string) Repository {
	r.Credentials = maps.Clone(r.Credentials)
	r.Credentials[key] = []byte(value)
	return r
}

func TestBadCredentialsAreNamedAndNeverShown(t *testing.T) {
	const secret = "hunter2"
	for name, tc := range map[string]struct {
		repository Repository
		key        string
		missing    bool
	}{
		"no access key":                {with(s3("", 0, ""), CredentialAccessKeyID, " \n"), CredentialAccessKeyID, true},
		"no secret key":                {with(s3("", 0, ""), CredentialSecretAccessKey, ""), CredentialSecretAccessKey, true},
		"a line more":                  {with(s3("", 0, ""), CredentialSecretAccessKey, secret+"\nrepo1-storage-verify-tls=n"), CredentialSecretAccessKey, false},
		"a carriage return":            {with(s3("", 0, ""), CredentialAccessKeyID, secret+"\rx"), CredentialAccessKeyID, false},
		"a zero byte":                  {with(s3("", 0, ""), CredentialAccessKeyID, secret+"\x00x"), CredentialAccessKeyID, false},
		"no service account":           {with(gcs(), CredentialServiceAccount, ""), CredentialServiceAccount, true},
		"a service account of nothing": {with(gcs(), CredentialServiceAccount, `{"client_email":"`+secret+`"}`), CredentialServiceAccount, false},
		"neither key nor token":        {azureWith("other", secret), CredentialAccountKey, true},
		"key and token":                {with(azureWith(CredentialAccountKey, secret), CredentialSASToken, secret), CredentialAccountKey, false},
		"a token of two lines":         {azureWith(CredentialSASToken, secret+"\n\nx"), CredentialSASToken, false},
		"no SSH key":                   {with(sftp(), CredentialSSHKey, ""), CredentialSSHKey, true},
		"a public SSH key":             {with(sftp(), CredentialSSHKey, "ssh-ed25519 "+secret), CredentialSSHKey, false},
		"an SSH key with passphrase":   {with(sftp(), CredentialSSHKey, string(sshKey("openssh-key-v1\x00\x00\x00\x00\naes256-ctr\x00"))), CredentialSSHKey, false},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := Files(PodArchive, []Repository{tc.repository}, Database{})
			var told *CredentialsError
			if !errors.As(err, &told) || told.Key != tc.key || told.Missing != tc.missing {
				t.Fatalf("files %v, error %v; want one about %s, missing=%v", files, err, tc.key, tc.missing)
			}
			if told.Secret != tc.repository.CredentialsSecret || !strings.Contains(err.Error(), told.Secret) {
				t.Errorf("the error does not name the Secret: %v", err)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the value: %v", err)
			}
		})
	}
}

func TestWhatCannotBeWrittenSafelyIsRefused(t *testing.T) {
	changed := func(r Repository, f func(*Repository)) []Repository {
		f(&r)
		return []Repository{r}
	}
	change := func(f func(*Repository)) []Repository { return changed(s3("", 0, ""), f) }
	for name, tc := range map[string]struct {
		repositories []Repository
		words        string
	}{
		"a short passphrase":            {change(func(r *Repository) { r.Passphrase = "short" }), "passphrase"},
		"a passphrase with a line":      {change(func(r *Repository) { r.Passphrase += "\nx" }), "passphrase"},
		"a tenant with a line":          {change(func(r *Repository) { r.Tenant = "a\nrepo1-cipher-type=none" }), "control character"},
		"a bundle of nothing":           {change(func(r *Repository) { r.Destination.S3.CABundle = "x" }), "no certificate"},
		"a bundle with a private key":   {change(func(r *Repository) { r.Destination.S3.CABundle = string(sshKey("x")) }), "private key"},
		"a volume of another namespace": {changed(volume(), func(r *Repository) { r.Host = "" }), "volume in another namespace"},
		"a volume without certificate":  {changed(volume(), func(r *Repository) { r.Credentials = nil }), "tls.crt"},
		"no kind of destination":        {change(func(r *Repository) { r.Destination.S3 = nil }), "no kind"},
		"two repositories of a number":  {[]Repository{s3("", 0, ""), s3("", 0, "")}, "number 1"},
		"number zero":                   {change(func(r *Repository) { r.Number = 0 }), "number 0"},
		"too many repositories":         {make([]Repository, MostRepositories+1), "more than 40"},
	} {
		if _, err := Files(PodArchive, tc.repositories, Database{}); err == nil || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%s: %v, want words about %q", name, err, tc.words)
		}
	}
	if _, err := Files(PodJob, nil, Database{}); err == nil {
		t.Error("a job without a database was configured")
	}
	bad := sftp()
	bad.Destination.SFTP.HostKeyFingerprint = "SHA256:short"
	if _, err := Files(PodArchive, []Repository{bad}, Database{}); err == nil || !strings.Contains(err.Error(), "hostKeyFingerprint") {
		t.Errorf("a fingerprint that is none: %v", err)
	}
}

func FuzzNoCredentialAddsAnOption(f *testing.F) {
	f.Add("key", "secret")
	f.Add("a\nb=c", "x\r[main]")
	f.Fuzz(func(t *testing.T, id, secret string) {
		r := with(with(s3("", 0, ""), CredentialAccessKeyID, id), CredentialSecretAccessKey, secret)
		files, err := Files(PodArchive, []Repository{r}, Database{})
		if err != nil {
			return
		}
		plain, err := Files(PodArchive, []Repository{s3("", 0, "")}, Database{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := lines(files), lines(plain); got != want {
			t.Errorf("%s lines instead of %s", got, want)
		}
	})
}

func lines(files map[string][]byte) string {
	return fmt.Sprint(bytes.Count(files[meta.KeyPgBackRestConf], []byte("\n")))
}
