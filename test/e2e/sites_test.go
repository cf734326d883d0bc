// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// site is a place outside the cluster that keeps backups: a machine of its own on the local cluster's network.
type site struct {
	Name    string `json:"name"`
	Host    string `json:"host"`
	Address string `json:"address"`
	Port    int32  `json:"port"`
	CAFile  string `json:"caFile"`
	Region  string `json:"region"`
	Bucket  string `json:"bucket"`
	// Objects is the folder on this machine that holds what the site stores.
	Objects string `json:"objects"`
}

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

// credentials of one tenant at a site.
type credentials struct {
	Write, Manage s3Keys
}

type s3Keys struct {
	AccessKeyID     string `json:"accessKeyID"`
	SecretAccessKey string `json:"secretAccessKey"`
}

// admits makes the customer's credentials at a site, as the platform engineer does, and puts them where the policy looks
// for them.
func (s site) admits(ctx context.Context, c *customer) {
	GinkgoHelper()
	var made credentials
	Expect(json.Unmarshal([]byte(devcluster(ctx, "site", "tenant", s.Name, c.name)), &made)).To(Succeed())
	for suffix, keys := range map[string]s3Keys{"": made.Write, "-manage": made.Manage} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: s.Name + "-" + c.name + suffix}}
		secret.StringData = map[string]string{"accessKeyID": keys.AccessKeyID, "secretAccessKey": keys.SecretAccessKey}
		Expect(client.IgnoreAlreadyExists(api.Create(ctx, secret))).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(api.Delete(ctx, secret))).To(Succeed()) })
	}
}

// stored is the folder of a customer's repository.
func (s site) stored(c *customer, instanceID string, inside ...string) string {
	return filepath.Join(append([]string{s.Objects, c.name, instanceID, "g1"}, inside...)...)
}

// destination is the site as a BackupPolicy names it.
func (s site) destination() v1alpha1.BackupDestination {
	GinkgoHelper()
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
