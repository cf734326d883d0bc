// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// newcomer is a scene whose Tenant is to be filled from the backups of instance i-gone of a Tenant that is gone, in
// destinations site-a and site-b. operator is the namespace of the operator's Secrets.
type newcomer struct {
	*scene
	operator string
}

func newNewcomer(t *testing.T, name string, target v1alpha1.RestoreTarget) *newcomer {
	t.Helper()
	n := &newcomer{newScene(t, name), "operator-of-" + name}
	n.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n.operator}})
	policy := &v1alpha1.BackupPolicy{ObjectMeta: metav1.ObjectMeta{Name: "of-" + name}, Spec: v1alpha1.BackupPolicySpec{
		Schedule: v1alpha1.BackupSchedule{TimeZone: "UTC", Start: "01:30"}}}
	for i, d := range []v1alpha1.DestinationName{"site-a", "site-b"} {
		policy.Spec.Destinations = append(policy.Spec.Destinations, v1alpha1.BackupDestination{
			Name: d, Region: "here", Networks: []v1alpha1.CIDR{"198.51.100.0/24"},
			Credentials: v1alpha1.DestinationCredentials{SecretName: v1alpha1.SecretNameTemplate(string(d) + "-{tenant}")},
			S3:          &v1alpha1.S3Destination{Endpoint: v1alpha1.DestinationHost(fmt.Sprintf("s3-%d.example.com", i)), Bucket: "backups"}})
		n.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: n.operator, Name: string(d) + "-gone"},
			StringData: map[string]string{engine.CredentialAccessKeyID: "id", engine.CredentialSecretAccessKey: "secret"}})
	}
	n.create(policy)
	set, _ := keeper(n.namespace, nil)
	set.Spec.Template.Spec.Volumes = nil
	n.create(set)
	tenant := &v1alpha1.Tenant{}
	n.Expect(env.Client.Get(n.ctx, client.ObjectKey{Name: name}, tenant)).To(Succeed())
	tenant.Spec.BackupPolicyRef = &v1alpha1.BackupPolicyReference{Name: policy.Name}
	tenant.Spec.Bootstrap = &v1alpha1.TenantBootstrap{Restore: &v1alpha1.BootstrapRestore{InstanceID: "i-gone", Tenant: "gone", Target: target}}
	n.Expect(env.Client.Update(n.ctx, tenant)).To(Succeed())
	return n
}

// keys brings the keys of the instance that is gone into the cluster.
func (n *newcomer) keys() {
	n.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: n.operator, Name: meta.BackupKeysSecret("i-gone")},
		StringData: map[string]string{passphraseKey("site-a", 1): randomText(), passphraseKey("site-b", 1): randomText()}})
}

// fills looks at the Tenant once, by an operator that has just been started.
func (n *newcomer) fills() {
	filler := NewBootstrapReconciler(env.Client, env.Client, n.clock, events.NewFakeRecorder(100), Options{OperatorNamespace: n.operator})
	_, err := filler.Reconcile(n.ctx, reconcile.Request{NamespacedName: client.ObjectKey{Name: n.name}})
	n.Expect(err).NotTo(HaveOccurred())
}

// says is the condition Restored.
func (n *newcomer) says() string {
	tenant := &v1alpha1.Tenant{}
	n.Expect(env.Client.Get(n.ctx, client.ObjectKey{Name: n.name}, tenant)).To(Succeed())
	c := apimeta.FindStatusCondition(tenant.Status.Conditions, v1alpha1.ConditionRestored)
	if c == nil {
		return "absent"
	}
	return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
}

// filling is the Job that restores from a destination; nil if there is none.
func (n *newcomer) filling(destination string) *batchv1.Job {
	job := &batchv1.Job{}
	err := env.Client.Get(n.ctx, client.ObjectKey{Namespace: n.namespace, Name: "bootstrap-" + destination}, job)
	if apierrors.IsNotFound(err) {
		return nil
	}
	n.Expect(err).NotTo(HaveOccurred())
	return job
}

func TestANewInstanceIsFilledFromTheNextDestinationWhenOneFails(t *testing.T) {
	n := newNewcomer(t, "filled", v1alpha1.RestoreTarget{})
	n.keys()
	n.fills()
	first := n.filling("site-a")
	n.Expect(first).NotTo(BeNil())
	n.Expect(mountsOf(first)).To(ContainElements(meta.BackupDir, meta.DataDir))
	n.fills()
	n.Expect(n.filling("site-b")).To(BeNil(), "one destination is tried at a time")

	n.ends(first, engine.Result{Job: engine.JobRestore, Destination: "site-a", Failure: &engine.Failure{Reason: engine.FailedUnreachable, Message: "it does not answer"}})
	n.fills()
	second := n.filling("site-b")
	n.Expect(second).NotTo(BeNil())
	n.Expect(n.annotation(meta.AnnotationBootstrapped)).To(BeEmpty(), "nothing starts before the data is there")

	n.ends(second, engine.Result{Job: engine.JobRestore, Destination: "site-b", Recovery: &engine.Recovery{Timeline: 4}})
	n.fills()
	n.Expect(n.annotation(meta.AnnotationBootstrapped)).To(Equal("i-gone"))
	n.Expect(n.annotation(meta.AnnotationTimelines)).To(ContainSubstring(`"timeline":4`))
	n.Expect(n.says()).To(HavePrefix("True Succeeded"))
	err := env.Client.Get(n.ctx, client.ObjectKey{Namespace: n.namespace, Name: meta.BootstrapSecret}, &corev1.Secret{})
	n.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "the other instance's keys should not stay in the namespace")
}

// keepsFiles has the new instance's application keep data on a volume.
func (n *newcomer) keepsFiles() {
	set, claim := keeper(n.namespace, nil)
	n.gone(set)
	set.ResourceVersion = ""
	n.create(set)
	n.create(claim)
}

func TestANewInstanceGetsTheApplicationsDataFirst(t *testing.T) {
	n := newNewcomer(t, "filled-files", to(10))
	n.keepsFiles()
	n.keys()
	n.fills()
	n.Expect(n.filling("site-a")).To(BeNil(), "the database comes second: its Job cannot be repeated as cheaply")
	first := n.filling("files-site-a")
	n.Expect(first).NotTo(BeNil())
	n.Expect(first.Spec.Template.Spec.Containers[0].Args).To(ContainElements("--instance-id=i-gone", "--target=2026-03-01T12:10:00Z", "--restore=i-filled-files"))
	n.endsFiles(first, &engine.Failure{Reason: engine.FailedDamaged, Message: "pack 7 is damaged"})
	n.fills()
	second := n.filling("files-site-b")
	n.Expect(second).NotTo(BeNil(), "the next destination is tried")
	n.endsFiles(second, nil)
	n.fills()
	database := n.filling("site-b")
	n.Expect(database).NotTo(BeNil())
	n.Expect(n.filling("site-a")).To(BeNil())
	n.ends(database, engine.Result{Job: engine.JobRestore, Destination: "site-b", Recovery: &engine.Recovery{Timeline: 4}})
	n.fills()
	n.Expect(n.says()).To(Equal("True Succeeded: the instance was filled from the backups of instance i-gone"))
}

func TestANewInstanceGetsNoSnapshotThatARestoreOfTheOtherLeftBehind(t *testing.T) {
	history := lineage{{Number: 2, Since: at(30), FilesFrom: at(10)}}
	for name, row := range map[string]struct {
		instance string
		want     OmegaMatcher
	}{
		"lineage-known":   {"i-gone", ContainElement("--without=2026-03-01T12:10:00Z/2026-03-01T12:30:00Z")},
		"lineage-foreign": {"i-else", Not(ContainElement(HavePrefix("--without")))},
	} {
		n := newNewcomer(t, name, v1alpha1.RestoreTarget{})
		n.keepsFiles()
		n.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: meta.Namespace(name + "-source"), Labels: map[string]string{v1alpha1.LabelInstance: row.instance},
			Annotations: map[string]string{meta.AnnotationTimelines: history.String()}}})
		tenant := &v1alpha1.Tenant{}
		n.Expect(env.Client.Get(n.ctx, client.ObjectKey{Name: name}, tenant)).To(Succeed())
		source := name + "-source"
		tenant.Spec.Bootstrap.Restore.Tenant = source
		n.Expect(env.Client.Update(n.ctx, tenant)).To(Succeed())
		n.keys()
		for _, d := range []string{"site-a-", "site-b-"} {
			n.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: n.operator, Name: d + source},
				StringData: map[string]string{engine.CredentialAccessKeyID: "id", engine.CredentialSecretAccessKey: "secret"}})
		}
		n.fills()
		n.Expect(n.filling("files-site-a")).NotTo(BeNil(), n.says())
		n.Expect(n.filling("files-site-a").Spec.Template.Spec.Containers[0].Args).To(row.want, name)
	}
}

func TestANewInstanceOfWhichNothingOfTheApplicationIsStoredIsFilledAllTheSameAndSaysSo(t *testing.T) {
	n := newNewcomer(t, "filled-bare", v1alpha1.RestoreTarget{})
	n.keepsFiles()
	n.keys()
	n.fills()
	n.endsFiles(n.filling("files-site-a"), &engine.Failure{Reason: engine.FailedTarget, Message: "there is no snapshot"})
	n.fills()
	n.Expect(n.filling("site-a")).To(BeNil(), "another destination may have them")
	n.endsFiles(n.filling("files-site-b"), &engine.Failure{Reason: engine.FailedTarget, Message: "there is no snapshot"})
	n.fills()
	job := n.filling("site-a")
	n.Expect(job).NotTo(BeNil())
	n.ends(job, engine.Result{Job: engine.JobRestore, Destination: "site-a", Recovery: &engine.Recovery{Timeline: 4}})
	n.fills()
	const says = "True Succeeded: the instance was filled from the backups of instance i-gone; nothing of its application's data, which stays empty: there is no snapshot"
	n.Expect(n.says()).To(Equal(says))
	n.fills()
	n.Expect(n.says()).To(Equal(says))
}

func TestANewInstanceTakesTheApplicationsDataFromTheDestinationThatHasIt(t *testing.T) {
	n := newNewcomer(t, "filled-second", v1alpha1.RestoreTarget{})
	n.keepsFiles()
	n.keys()
	n.fills()
	n.endsFiles(n.filling("files-site-a"), &engine.Failure{Reason: engine.FailedTarget, Message: "there is no snapshot"})
	n.fills()
	n.Expect(n.filling("site-a")).To(BeNil())
	n.endsFiles(n.filling("files-site-b"), nil)
	n.fills()
	n.Expect(n.filling("site-a")).To(BeNil())
	n.Expect(n.filling("site-b")).NotTo(BeNil())
	n.Expect(n.filling("site-b").Annotations).NotTo(HaveKey(annotationWithoutFiles))

	keys := func() map[string][]byte {
		secret := &corev1.Secret{}
		n.Expect(env.Client.Get(n.ctx, client.ObjectKey{Namespace: n.namespace, Name: meta.BootstrapSecret}, secret)).To(Succeed())
		return secret.Data
	}
	had := keys()
	n.Expect(env.Client.Delete(n.ctx, n.filling("files-site-a"), client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed(), "its time is over")
	n.fills()
	n.Expect(n.filling("files-site-a")).To(BeNil(), "the destination under way goes first")
	n.Expect(keys()).To(Equal(had), "it keeps its keys")
}

func TestANewInstanceSaysWhichKeysToBringAndGoesOnWhenTheyAreThere(t *testing.T) {
	n := newNewcomer(t, "keyless", v1alpha1.RestoreTarget{})
	n.fills()
	n.Expect(n.says()).To(HavePrefix("False KeysMissing: Secret " + n.operator + "/backup-i-gone"))
	n.Expect(n.says()).To(ContainSubstring("age -d -i KEYFILE escrow.age | kubectl apply -f -"))
	n.Expect(n.filling("site-a")).To(BeNil())
	n.keys()
	n.fills()
	n.Expect(n.filling("site-a")).NotTo(BeNil())
}

func TestANewInstanceFromADestinationThatIsNotSaysSo(t *testing.T) {
	n := newNewcomer(t, "misdirected", v1alpha1.RestoreTarget{Destination: "site-x"})
	n.keys()
	n.fills()
	n.Expect(n.says()).To(Equal("False Failed: BackupPolicy of-misdirected has no destination site-x, which bootstrap.restore.target names"))
}

func TestAnInstanceThatHoldsDataIsNotFilled(t *testing.T) {
	n := newNewcomer(t, "grown", v1alpha1.RestoreTarget{})
	n.keys()
	namespace := &corev1.Namespace{}
	n.Expect(env.Client.Get(n.ctx, client.ObjectKey{Name: n.namespace}, namespace)).To(Succeed())
	metav1.SetMetaDataAnnotation(&namespace.ObjectMeta, meta.AnnotationInitialized, "true")
	n.Expect(env.Client.Update(n.ctx, namespace)).To(Succeed())
	n.fills()
	n.Expect(n.filling("site-a")).To(BeNil())
	n.Expect(n.says()).To(Equal("absent"))
}
