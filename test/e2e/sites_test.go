// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// site is a place outside the cluster that keeps backups: a machine of its own on the local cluster's network.
type site struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Host    string `json:"host"`
	Address string `json:"address"`
	Port    int32  `json:"port"`
	CAFile  string `json:"caFile"`
	Region  string `json:"region"`
	Bucket  string `json:"bucket"`
	// Objects is the folder on this machine that holds what the site stores.
	Objects string `json:"objects"`
	// HostKey is how an SFTP site is known.
	HostKey struct{ SHA256 string }
}

const kindSFTP = "sftp"

// sites lists them by name.
func sites(ctx context.Context) map[string]site {
	GinkgoHelper()
	var all []site
	Expect(json.Unmarshal([]byte(devcluster(ctx, "site", "list")), &all)).To(Succeed())
	byName := map[string]site{}
	for _, one := range all {
		byName[one.Name] = one
	}
	return byName
}

// devcluster runs the local cluster's program and returns its answer, without what it says of its progress: that it waits
// for a command of another story, for example.
func devcluster(ctx context.Context, arguments ...string) string {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, "go", append([]string{"-C", "hack/devcluster", "run", "."}, arguments...)...)
	cmd.Dir = root()
	var progress strings.Builder
	cmd.Stderr = &progress
	answer, err := cmd.Output()
	Expect(err).NotTo(HaveOccurred(), "%s: %s", strings.Join(arguments, " "), &progress)
	return string(answer)
}

// startSites starts spare sites.
func startSites(ctx context.Context, names ...string) {
	GinkgoHelper()
	for _, name := range names {
		devcluster(ctx, "site", "start", name)
	}
}

// credentials of one tenant at a site: keys of S3, or a key of SSH.
type credentials struct {
	Write, Manage s3Keys
	PrivateKey    string
}

type s3Keys struct {
	AccessKeyID     string `json:"accessKeyID"`
	SecretAccessKey string `json:"secretAccessKey"`
}

// admits makes the customer's credentials at a site, as the platform engineer does, and puts them where the policy looks
// for them.
func (s site) admits(ctx context.Context, c *customer) {
	GinkgoHelper()
	for _, secret := range s.hands(ctx, c) {
		DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(api.Delete(ctx, secret))).To(Succeed()) })
	}
}

// hands puts the credentials that the site has for the customer now where the policy looks for them.
func (s site) hands(ctx context.Context, c *customer) []*corev1.Secret {
	GinkgoHelper()
	var secrets []*corev1.Secret
	for name, data := range s.keys(ctx, c) {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: name}, StringData: data}
		err := api.Create(ctx, secret)
		if apierrors.IsAlreadyExists(err) {
			err = api.Update(ctx, secret)
		}
		Expect(err).NotTo(HaveOccurred())
		secrets = append(secrets, secret)
	}
	return secrets
}

// keys are the customer's credentials at a site, by the names of the Secrets that hold them. Credentials that were
// revoked are made anew.
func (s site) keys(ctx context.Context, c *customer) map[string]map[string]string {
	GinkgoHelper()
	var made credentials
	Expect(json.Unmarshal([]byte(devcluster(ctx, "site", "tenant", s.Name, c.name)), &made)).To(Succeed())
	name := s.Name + "-" + c.name
	if s.Kind == kindSFTP {
		return map[string]map[string]string{name: {"ssh-privatekey": made.PrivateKey}}
	}
	secret := func(k s3Keys) map[string]string {
		return map[string]string{"accessKeyID": k.AccessKeyID, "secretAccessKey": k.SecretAccessKey}
	}
	return map[string]map[string]string{name: secret(made.Write), name + "-manage": secret(made.Manage)}
}

// stored is the folder of a customer's repository.
func (s site) stored(c *customer, instanceID string, inside ...string) string {
	return filepath.Join(append([]string{s.Objects, c.name, instanceID, "g1"}, inside...)...)
}

// destination is the site as a BackupPolicy names it.
func (s site) destination() v1alpha1.BackupDestination {
	GinkgoHelper()
	if s.Kind == kindSFTP {
		return s.sftp()
	}
	authority, err := os.ReadFile(s.CAFile)
	Expect(err).NotTo(HaveOccurred())
	return v1alpha1.BackupDestination{
		Name: v1alpha1.DestinationName(s.Name), Region: s.Region, Networks: []v1alpha1.CIDR{v1alpha1.CIDR(s.Address + "/32")},
		Credentials: v1alpha1.DestinationCredentials{
			SecretName:       v1alpha1.SecretNameTemplate(s.Name + "-{tenant}"),
			ManageSecretName: v1alpha1.SecretNameTemplate(s.Name + "-{tenant}-manage"),
		},
		S3: &v1alpha1.S3Destination{
			Endpoint: v1alpha1.DestinationHost(s.Host), Port: s.Port,
			Bucket: s.Bucket, URIStyle: v1alpha1.URIStylePath, CABundle: string(authority),
		},
	}
}

func (s site) sftp() v1alpha1.BackupDestination {
	GinkgoHelper()
	sum, err := hex.DecodeString(s.HostKey.SHA256)
	Expect(err).NotTo(HaveOccurred())
	return v1alpha1.BackupDestination{
		Name: v1alpha1.DestinationName(s.Name), Networks: []v1alpha1.CIDR{v1alpha1.CIDR(s.Address + "/32")},
		Credentials: v1alpha1.DestinationCredentials{SecretName: v1alpha1.SecretNameTemplate(s.Name + "-{tenant}")},
		SFTP: &v1alpha1.SFTPDestination{
			Host: v1alpha1.DestinationHost(s.Host), Port: s.Port, User: "sftp-{tenant}", Path: "backups",
			// As ssh-keygen -lf prints it.
			HostKeyFingerprint: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum),
		},
	}
}

// keptAt makes a policy back up to certain sites.
func keptAt(all map[string]site, names ...string) func(*v1alpha1.BackupPolicy) {
	return func(p *v1alpha1.BackupPolicy) {
		p.Spec.Destinations = nil
		for _, name := range names {
			p.Spec.Destinations = append(p.Spec.Destinations, all[name].destination())
		}
	}
}

// policy makes a BackupPolicy of both S3 sites, for the length of the story.
func policy(ctx context.Context, name string, changes ...func(*v1alpha1.BackupPolicy)) *v1alpha1.BackupPolicy {
	GinkgoHelper()
	all := sites(ctx)
	made := &v1alpha1.BackupPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	made.Spec = v1alpha1.BackupPolicySpec{
		Destinations: []v1alpha1.BackupDestination{all["s3-a"].destination(), all["s3-b"].destination()},
		Schedule:     v1alpha1.BackupSchedule{TimeZone: "Europe/Vienna", Start: "01:30"},
		Limits:       v1alpha1.BackupLimits{LagSeconds: 180, BackupAgeHours: 30},
	}
	for _, change := range changes {
		change(made)
	}
	Expect(api.Create(ctx, made)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(api.Delete(ctx, made))).To(Succeed()) })
	return made
}

func backedUpBy(policy string) func(*v1alpha1.Tenant) {
	return func(t *v1alpha1.Tenant) { t.Spec.BackupPolicyRef = &v1alpha1.BackupPolicyReference{Name: policy} }
}
