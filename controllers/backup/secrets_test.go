// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/testenv"
)

func TestEachDestinationHasAKeyOfItsOwnThatIsNeverReplaced(t *testing.T) {
	s := newStage(t, "keys")
	s.passes()
	keys := s.secret(s.operatorNamespace(), meta.BackupKeysSecret(s.instanceID()))
	s.Expect(keys.Data).To(HaveLen(3))
	s.Expect(keys.Data["site-a.g1"]).To(HaveLen(64))
	s.Expect(keys.Data["site-a.g1"]).NotTo(Equal(keys.Data["site-b.g1"]))

	archive := s.secret(s.namespace(), meta.BackupSecret)
	s.Expect(string(archive.Data[meta.KeyPgBackRestConf])).To(And(ContainSubstring(string(keys.Data["site-a.g1"])), ContainSubstring("secret-of-site-b")))
	s.Expect(archive.Data).To(HaveKeyWithValue(meta.KeyStatusToken, keys.Data[meta.KeyStatusToken]))
	s.Expect(archive.Data).NotTo(HaveKey(meta.KeyEscrowFile), "the database pod has no use for it")

	s.restart()
	s.after(time.Hour)
	s.Expect(s.secret(s.operatorNamespace(), keys.Name).ResourceVersion).To(Equal(keys.ResourceVersion))
}

func TestTheOfflineKeyOpensTheEscrow(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, "escrow", func(p *v1alpha1.BackupPolicy) {
		p.Spec.KeyEscrow.Recipients = append(p.Spec.KeyEscrow.Recipients, v1alpha1.AgeRecipient(identity.Recipient().String()))
	})
	s.passes()
	sealed := s.secret(s.namespace(), meta.BackupJobSecret).Data[meta.KeyEscrowFile]
	opened, err := age.Decrypt(bytes.NewReader(sealed), identity)
	s.Expect(err).NotTo(HaveOccurred())
	content, err := io.ReadAll(opened)
	s.Expect(err).NotTo(HaveOccurred())
	var list struct {
		metav1.TypeMeta `json:",inline"`
		Items           []corev1.Secret `json:"items"`
	}
	s.Expect(yaml.UnmarshalStrict(content, &list)).To(Succeed())
	s.Expect(list.Kind).To(Equal("List"))
	s.Expect(list.Items).To(HaveLen(2))
	s.Expect(list.Items[0].Data).To(HaveKeyWithValue(meta.KeyEscrowPassword, []byte("the-password")))
	s.Expect(list.Items[1].Data).To(Equal(s.secret(s.operatorNamespace(), meta.BackupKeysSecret(s.instanceID())).Data))

	s.restart()
	s.after(time.Hour)
	s.Expect(s.secret(s.namespace(), meta.BackupJobSecret).Data[meta.KeyEscrowFile]).To(Equal(sealed), "the same is not encrypted anew")
	instance := s.secret(s.operatorNamespace(), meta.EscrowSecret(s.instanceID()))
	instance.Data["generated-token"] = []byte("new")
	s.Expect(env.Client.Update(s.ctx, instance)).To(Succeed())
	s.after(time.Hour)
	s.Expect(s.secret(s.namespace(), meta.BackupJobSecret).Data[meta.KeyEscrowFile]).NotTo(Equal(sealed), "what changed is")
}

func TestWithoutAnOfflineRecipientTheKeysWouldBeLostWithTheCluster(t *testing.T) {
	s := newStage(t, "inside", func(p *v1alpha1.BackupPolicy) { p.Spec.KeyEscrow = v1alpha1.KeyEscrow{} })
	s.firstBackups()
	s.after(settleTime)
	s.end(s.theJob(engine.JobVerify, "site-a"), s.proven("site-a"))
	s.passes()
	s.Expect(text(s.site("site-a").Conditions, v1alpha1.ConditionRecoverable)).To(HavePrefix("False EscrowNotExternal"))
	s.Expect(s.secret(s.namespace(), meta.BackupJobSecret).Data).NotTo(HaveKey(meta.KeyEscrowFile))
}

func TestMissingCredentialsAreNamedAndHoldUpNoOtherDestination(t *testing.T) {
	s := newStage(t, "credentials", func(p *v1alpha1.BackupPolicy) {
		p.Spec.Destinations[0].Credentials.SecretName = "later-{tenant}"
	})
	s.passes()
	s.after(settleTime)
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(And(HavePrefix("False CredentialsMissing: site-a"), ContainSubstring("ops-credentials/later-credentials")))
	s.Expect(s.jobs(engine.JobBackup, "site-b")).To(HaveLen(1))
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(BeEmpty())

	s.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "later-credentials", Namespace: s.operatorNamespace()}, Data: map[string][]byte{engine.CredentialAccessKeyID: []byte("id")}})
	s.after(troubledAudit)
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(And(HavePrefix("False CredentialsMissing: site-a"), ContainSubstring(engine.CredentialSecretAccessKey)))

	later := s.secret(s.operatorNamespace(), "later-credentials")
	later.Data[engine.CredentialSecretAccessKey] = []byte("key")
	s.Expect(env.Client.Update(s.ctx, later)).To(Succeed())
	s.after(troubledAudit)
	s.after(settleTime)
	s.Expect(s.jobs(engine.JobBackup, "site-a")).To(HaveLen(1))
}

func TestADestinationIsNotTakenOutForWantOfCredentials(t *testing.T) {
	s := newStage(t, "vanished")
	s.converged()
	before := s.secret(s.namespace(), meta.BackupSecret)
	s.Expect(env.Client.Delete(s.ctx, s.secret(s.operatorNamespace(), "site-a-vanished"))).To(Succeed())
	s.after(time.Hour)
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("False CredentialsMissing: site-a"))
	s.Expect(s.secret(s.namespace(), meta.BackupSecret).Data).To(Equal(before.Data), "the log goes on to both, as long as the credentials that it has are good")
	s.Expect(*s.cronJob("site-a").Spec.Suspend).To(BeTrue())
}

func TestAKeysSecretOfAnotherTenantIsNobodysCredentials(t *testing.T) {
	s := newStage(t, "thief")
	s.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "victim", Namespace: s.operatorNamespace(), Labels: meta.Labels("victim", "victim", "backup-keys")},
		Data: map[string][]byte{engine.CredentialAccessKeyID: []byte("id")}})
	s.Expect(secretData(s.ctx, env.Client, s.operatorNamespace(), "victim")).To(BeNil())
	s.Expect(secretData(s.ctx, env.Client, s.operatorNamespace(), "site-a-thief")).To(HaveLen(2))
}

func TestCredentialsThatAreSharedAreNotHidden(t *testing.T) {
	s := newStage(t, "shared", func(p *v1alpha1.BackupPolicy) { p.Spec.Destinations[0].Credentials.AllowShared = true })
	s.firstBackups()
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(And(HavePrefix("True SharedCredentials"), ContainSubstring("shared with other tenants")))
}

func TestALostKeyIsNotReplacedByOneThatHidesTheLoss(t *testing.T) {
	s := newStage(t, "lost")
	s.converged()
	s.Expect(env.Client.Delete(s.ctx, s.secret(s.operatorNamespace(), meta.BackupKeysSecret(s.instanceID())))).To(Succeed())
	s.after(time.Hour)
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(And(HavePrefix("False KeysLost"), ContainSubstring("site-a.g1")))
	s.Expect(s.secret(s.operatorNamespace(), meta.BackupKeysSecret(s.instanceID())).Data).NotTo(HaveKey("site-a.g1"))
}

func TestASecretThatSomebodyChangedIsMendedByTheAudit(t *testing.T) {
	s := newStage(t, "drift")
	s.converged()
	before := s.secret(s.namespace(), meta.BackupSecret)
	broken := before.DeepCopy()
	broken.Data[meta.KeyPgBackRestConf] = []byte("[global]\n")
	broken.Data["more"] = []byte("x")
	s.Expect(env.Client.Update(s.ctx, broken, client.FieldOwner("kubectl-edit"))).To(Succeed())
	s.after(10 * time.Minute)
	s.Expect(s.secret(s.namespace(), meta.BackupSecret).Data).To(Equal(before.Data))
}

func TestWhoNamesNoPolicyAnyMoreKeepsKeysAndRepositories(t *testing.T) {
	s := newStage(t, "leaves")
	s.converged()
	s.changeTenant(func(t *v1alpha1.Tenant) { t.Spec.BackupPolicyRef = nil })
	s.passes()
	var cronJobs batchv1.CronJobList
	s.Expect(env.Client.List(s.ctx, &cronJobs, client.InNamespace(s.namespace()))).To(Succeed())
	s.Expect(cronJobs.Items).To(BeEmpty())
	err := env.Client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace(), Name: meta.BackupJobSecret}, &corev1.Secret{})
	s.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "credentials that remove are not left behind: %v", err)
	s.Expect(s.secret(s.operatorNamespace(), meta.BackupKeysSecret(s.instanceID())).Data).To(HaveKey("site-a.g1"))
	s.Expect(s.tenant().Status.Backups).To(BeNil())
	for _, kind := range owned {
		s.Expect(s.condition(kind)).To(Equal("absent"))
	}
	s.Expect(s.condition(v1alpha1.ConditionAvailable)).To(HavePrefix("True Serving"), "other controllers' conditions stay theirs")
}

func TestATenantThatGoesIsNotBackedUpAnyMore(t *testing.T) {
	s := newStage(t, "goes")
	s.converged()
	s.Expect(env.Client.Delete(s.ctx, s.tenant())).To(Succeed())
	s.passes()
	var cronJobs batchv1.CronJobList
	s.Expect(env.Client.List(s.ctx, &cronJobs, client.InNamespace(s.namespace()))).To(Succeed())
	s.Expect(cronJobs.Items).To(BeEmpty())
	s.secret(s.operatorNamespace(), meta.BackupKeysSecret(s.instanceID()))
}

func TestAPolicyThatIsNotThereChangesNothingAndIsSaid(t *testing.T) {
	s := newStage(t, "nameless")
	s.converged()
	s.changeTenant(func(t *v1alpha1.Tenant) { t.Spec.BackupPolicyRef.Name = "typo" })
	s.passes()
	for _, kind := range owned {
		s.Expect(s.condition(kind)).To(HavePrefix("False PolicyNotFound"))
	}
	s.Expect(s.tenant().Status.Backups.Destinations).To(HaveLen(2))
	s.Expect(*s.cronJob("site-a").Spec.Suspend).To(BeFalse())
	s.changeTenant(func(t *v1alpha1.Tenant) { t.Spec.BackupPolicyRef.Name = "nameless" })
	s.passes()
	s.Expect(s.condition(v1alpha1.ConditionBackedUp)).To(HavePrefix("True Fresh"))
}

func TestADestinationThatLeavesThePolicyIsLeftAlone(t *testing.T) {
	s := newStage(t, "fewer")
	s.converged()
	policy := &v1alpha1.BackupPolicy{}
	s.Expect(env.Client.Get(s.ctx, client.ObjectKey{Name: s.name}, policy)).To(Succeed())
	policy.Spec.Destinations = policy.Spec.Destinations[1:]
	s.Expect(env.Client.Update(s.ctx, policy)).To(Succeed())
	s.passes()
	var cronJobs batchv1.CronJobList
	s.Expect(env.Client.List(s.ctx, &cronJobs, client.InNamespace(s.namespace()))).To(Succeed())
	s.Expect(cronJobs.Items).To(HaveLen(1))
	s.Expect(string(s.secret(s.namespace(), meta.BackupSecret).Data[meta.KeyDestinations])).NotTo(ContainSubstring("site-a"))
	s.Expect(s.secret(s.operatorNamespace(), meta.BackupKeysSecret(s.instanceID())).Data).To(HaveKey("site-a.g1"))
	s.Expect(s.tenant().Status.Backups.Destinations).To(HaveLen(1))
}

func TestAConvergedTenantCostsNothingBetweenAudits(t *testing.T) {
	s := newStage(t, "cheap")
	s.converged()
	s.after(evidenceInterval)

	s.restartWithCaches()
	s.pass() // The first one begins the watches.
	s.Expect(s.requests.Seen(func(r testenv.Request) bool { return strings.Contains(r.Path, "/secrets/") })).
		To(HaveLen(1), "after a restart only the token to ask the archiver with is read again")
	s.Expect(s.writes()).To(BeEmpty(), "and nothing is written")

	remembered := s.reconciler.known.of(s.name, s.instanceID())
	remembered.audit, remembered.written = s.clock.Now().Add(time.Hour), s.clock.Now()
	s.requests.Reset()
	asked := s.asked
	for range 14 {
		s.clock.SetTime(s.clock.Now().Add(time.Minute))
		s.Expect(s.pass()).To(BeNumerically("<=", time.Minute))
	}
	s.Expect(s.requests.Reconciling()).To(BeEmpty())
	s.Expect(s.asked-asked).To(Equal(14), "but its archiver is asked each minute")
}

func TestAnAuditReadsSixSecretsAndWritesNothing(t *testing.T) {
	s := newStage(t, "audit")
	s.converged()
	s.reconciler.known.of(s.name, s.instanceID()).audit = s.clock.Now()
	s.requests.Reset()
	s.pass()
	s.Expect(s.requests.Seen(func(r testenv.Request) bool { return strings.Contains(r.Path, "/secrets/") })).
		To(HaveLen(6), "the keys, the escrow, two credentials, and the metadata of two")
	s.Expect(s.writes()).To(BeEmpty())
}

func TestHowFarTheArchiveIsIsWrittenAtABudgetedPace(t *testing.T) {
	s := newStage(t, "pace")
	s.converged()
	s.after(evidenceInterval)
	written := s.site("site-a").RecoverableUntil.Time
	s.Expect(s.clock.Now().Sub(written)).To(BeNumerically("<", 2*time.Minute))
	s.after(evidenceInterval - 10*time.Second)
	s.Expect(s.site("site-a").RecoverableUntil.Time).To(Equal(written))
	s.after(10 * time.Second)
	s.Expect(s.site("site-a").RecoverableUntil.After(written)).To(BeTrue())
}
