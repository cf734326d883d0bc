// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// backedUp is miniflux with a policy of the given destinations.
func backedUp(destinations ...v1alpha1.BackupDestination) render.Inputs {
	in := miniflux()
	in.Tenant.Spec.BackupPolicyRef = &v1alpha1.BackupPolicyReference{Name: "daily"}
	in.Backup = &v1alpha1.BackupPolicy{Spec: v1alpha1.BackupPolicySpec{Destinations: destinations}}
	return in
}

// opened are the networks and ports of egress rules, those to pods left out: "7443: 192.0.2.0/24 -192.0.2.0/28".
func opened(t *testing.T, rules []networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration) []string {
	t.Helper()
	var all []string
	for _, rule := range rules {
		if len(rule.To) == 0 || len(rule.Ports) != 1 {
			t.Errorf("a rule without peers opens everything, and a destination has one port: %+v", rule)
		}
		for _, network := range blocks(rule.To) {
			all = append(all, rule.Ports[0].Port.String()+": "+network)
		}
	}
	return all
}

func TestWhereBackupsMayConnect(t *testing.T) {
	s3 := func(name string, port int32, networks ...v1alpha1.CIDR) v1alpha1.BackupDestination {
		return v1alpha1.BackupDestination{Name: v1alpha1.DestinationName(name), Networks: networks, S3: &v1alpha1.S3Destination{Port: port}}
	}
	for _, row := range []struct {
		name                 string
		destinations         []v1alpha1.BackupDestination
		want, closedNetworks []string
	}{
		{"the port of S3 by default", []v1alpha1.BackupDestination{s3("a", 0, "192.0.2.0/24")}, []string{"443: 192.0.2.0/24"}, nil},
		{"a port of one's own", []v1alpha1.BackupDestination{s3("a", 7443, "192.0.2.0/24")}, []string{"7443: 192.0.2.0/24"}, nil},
		{"Google and Azure", []v1alpha1.BackupDestination{
			{Name: "g", Networks: []v1alpha1.CIDR{"192.0.2.0/25"}, GCS: &v1alpha1.GCSDestination{}},
			{Name: "h", Networks: []v1alpha1.CIDR{"192.0.2.128/25"}, Azure: &v1alpha1.AzureDestination{}},
		}, []string{"443: 192.0.2.0/25", "443: 192.0.2.128/25"}, nil},
		{"SSH", []v1alpha1.BackupDestination{
			{Name: "s", Networks: []v1alpha1.CIDR{"192.0.2.1/32"}, SFTP: &v1alpha1.SFTPDestination{}},
			{Name: "t", Networks: []v1alpha1.CIDR{"192.0.2.2/32"}, SFTP: &v1alpha1.SFTPDestination{Port: 2222}},
		}, []string{"22: 192.0.2.1/32", "2222: 192.0.2.2/32"}, nil},
		{"in whatever order they are written", []v1alpha1.BackupDestination{s3("b", 2, "192.0.2.9/32", "192.0.2.8/32"), s3("a", 1, "192.0.2.1/32")},
			[]string{"1: 192.0.2.1/32", "2: 192.0.2.8/32", "2: 192.0.2.9/32"}, nil},
		{"not into the cluster that lies within", []v1alpha1.BackupDestination{s3("a", 0, "10.0.0.0/8")},
			[]string{"443: 10.0.0.0/8 -10.90.0.0/16 -10.96.0.0/16 -10.244.0.0/16"}, nil},
		{"not to what only the cluster has, and the others all the same", []v1alpha1.BackupDestination{s3("a", 0, "10.96.0.0/24", "192.0.2.0/24"), s3("b", 0, "169.254.169.254/32")},
			[]string{"443: 192.0.2.0/24"}, []string{"a 10.96.0.0/24", "b 169.254.169.254/32"}},
		{"not to what cannot be read", []v1alpha1.BackupDestination{s3("a", 0, "192.0.2.7/24", "2001:db8::/32")}, nil, []string{"a 192.0.2.7/24", "a 2001:db8::/32"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := backedUp(row.destinations...)
			objects := mustLive(t, in)
			equal(t, "the database's archive", opened(t, policyNamed(t, objects, meta.PolicyArchive).Egress), row.want)
			equal(t, "base backups", opened(t, policyNamed(t, objects, meta.PolicyBackup).Egress), row.want)
			equal(t, "restores", opened(t, policyNamed(t, objects, meta.PolicyRestore).Egress), row.want)
			equal(t, "networks that stay closed", render.ClosedDestinations(in), row.closedNetworks)
		})
	}
}

func TestOnlyBackupsAndTheOperatorComeInAtTheArchiver(t *testing.T) {
	objects := mustLive(t, backedUp(twoSites().Spec.Destinations...))
	var who []string
	for _, rule := range policyNamed(t, objects, meta.PolicyArchive).Ingress {
		for _, from := range rule.From {
			who = append(who, fmt.Sprint(rule.Ports[0].Port.IntValue(), from.PodSelector.MatchLabels, from.NamespaceSelector != nil))
		}
	}
	equal(t, "who comes in", who, []string{
		"8432 map[freehold.dev/policy:backup] false",
		"8009 map[app.kubernetes.io/component:manager app.kubernetes.io/name:freehold] true",
	})
	for _, name := range []string{meta.PolicyBackup, meta.PolicyRestore} {
		if rules := policyNamed(t, objects, name).Ingress; len(rules) != 0 {
			t.Errorf("%s lets somebody in: %+v", name, rules)
		}
	}
	for _, rule := range policyNamed(t, objects, meta.PolicyRestore).Egress {
		for _, to := range rule.To {
			if to.IPBlock == nil {
				t.Errorf("a restore, which may run a backup that somebody has tampered with, reaches pods: %+v", to)
			}
		}
	}
	in := backedUp(twoSites().Spec.Destinations...)
	in.Facts.OperatorNamespace = ""
	if rules := policyNamed(t, mustLive(t, in), meta.PolicyArchive).Ingress; len(rules) != 1 {
		t.Errorf("where the operator's namespace is not known, %d rules let somebody in, expected the one for backups", len(rules))
	}
}

func TestArchivingIsTheTenantsWishAndNotThePolicysExistence(t *testing.T) {
	named := miniflux()
	named.Tenant.Spec.BackupPolicyRef = &v1alpha1.BackupPolicyReference{Name: "gone"}
	for name, row := range map[string]struct {
		in       render.Inputs
		want     string
		policies int
	}{
		"no policy is named":         {miniflux(), meta.ArchivingOff, 5},
		"one is named and not there": {named, meta.ArchivingOn, 5},
		"one is named and there":     {backedUp(twoSites().Spec.Destinations...), meta.ArchivingOn, 8},
	} {
		objects := mustLive(t, row.in)
		if has := configMapNamed(objects, meta.InstanceConfigMap).Data[meta.KeyArchiving]; has != row.want {
			t.Errorf("%s: archiving is %s, expected %s", name, has, row.want)
		}
		if has := len(objects.NetworkPolicies); has != row.policies {
			t.Errorf("%s: %d walls, expected %d", name, has, row.policies)
		}
	}
}

func TestTheArchiverSeesNoMoreThanItNeedsAndHoldsUpNothing(t *testing.T) {
	pod := mustRevision(t, miniflux()).Database.Spec.Template.Spec
	archiver := pod.Containers[slices.IndexFunc(pod.Containers, func(c corev1ac.ContainerApplyConfiguration) bool { return *c.Name == meta.ContainerArchiver })]
	var seen []string
	for _, mount := range archiver.VolumeMounts {
		mode := "rw"
		if ptr.Deref(mount.ReadOnly, false) {
			mode = "ro"
		}
		seen = append(seen, mode+" "+*mount.MountPath)
	}
	equal(t, "what the archiver sees", seen, []string{"ro " + meta.DataDir, "ro " + meta.InstanceDir, "ro " + meta.TrustDir, "ro " + meta.TLSDir,
		"ro " + meta.SocketDir, "rw /tmp", "ro " + meta.BackupDir, "rw " + meta.SpoolDir})
	if archiver.ReadinessProbe != nil || archiver.LivenessProbe != nil || archiver.StartupProbe != nil {
		t.Error("an archive that is behind would make the database's pod unready, or start it anew")
	}
	for _, volume := range pod.Volumes {
		if volume.Secret != nil && *volume.Secret.SecretName == meta.BackupSecret && !ptr.Deref(volume.Secret.Optional, false) {
			t.Error("the database waits for a Secret that an instance without backups never has")
		}
	}
}

func TestQuotaHasRoomForBackups(t *testing.T) {
	in := backedUp(twoSites().Spec.Destinations...)
	in.Tenant.Spec.Database = &v1alpha1.TenantDatabase{Compute: &v1alpha1.Compute{Memory: ptr.To(resource.MustParse("2Gi"))}}
	without := in
	without.Backup = nil
	hard, base := *mustLive(t, in).Quota.Spec.Hard, *mustLive(t, without).Quota.Spec.Hard
	for name, want := range map[corev1.ResourceName]string{
		corev1.ResourcePods:                   "3",    // a base backup to each of two destinations, and one restore
		corev1.ResourceLimitsMemory:           "3Gi",  // 512Mi each, and a server as large as the database
		corev1.ResourceLimitsCPU:              "2",    // half a core each, and the server's
		corev1.ResourceRequestsCPU:            "1",    // half of it
		corev1.ResourceRequestsStorage:        "20Gi", // a throw-away volume, and one to restore into
		corev1.ResourcePersistentVolumeClaims: "2",
	} {
		more := hard[name].DeepCopy()
		more.Sub(base[name])
		if more.Cmp(resource.MustParse(want)) != 0 {
			t.Errorf("backups may use %s of %s, expected %s", more.String(), name, want)
		}
	}
	keeping := in
	keeping.Class = dex().Class
	with, bare := *mustLive(t, keeping).Quota.Spec.Hard, keeping
	bare.Backup = &v1alpha1.BackupPolicy{Spec: twoSites().Spec}
	bare.Backup.Spec.ApplicationData = v1alpha1.ApplicationDataSkip
	for name, want := range map[corev1.ResourceName]string{
		corev1.ResourcePods:                   "3", // one to each destination, and one restore
		corev1.ResourceLimitsMemory:           "1536Mi",
		corev1.ResourceRequestsStorage:        "2Gi",
		corev1.ResourcePersistentVolumeClaims: "2",
	} {
		more := with[name].DeepCopy()
		more.Sub((*mustLive(t, bare).Quota.Spec.Hard)[name])
		if more.Cmp(resource.MustParse(want)) != 0 {
			t.Errorf("backups of the application's data may use %s of %s, expected %s", more.String(), name, want)
		}
	}
	smaller := in
	smaller.Running = mustRevision(t, in)
	smaller.Tenant = miniflux().Tenant
	smaller.Tenant.Spec.BackupPolicyRef = in.Tenant.Spec.BackupPolicyRef
	if has := (*mustLive(t, smaller).Quota.Spec.Hard)[corev1.ResourceLimitsMemory]; has.Cmp(hard[corev1.ResourceLimitsMemory]) != 0 {
		t.Errorf("a server as large as the one that still runs may be restored beside it with %s, expected %s", has.String(), ptr.To(hard[corev1.ResourceLimitsMemory]).String())
	}
}
