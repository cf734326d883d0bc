// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// same compares what is not a list.
func same(t *testing.T, what string, has, want any) {
	t.Helper()
	if !reflect.DeepEqual(has, want) {
		t.Errorf("%s: %v, expected %v", what, has, want)
	}
}

// pods are whom rules speak of and at which port, networks left out.
func pods(peers []networkingv1ac.NetworkPolicyPeerApplyConfiguration, ports []networkingv1ac.NetworkPolicyPortApplyConfiguration) []string {
	var all []string
	for _, p := range peers {
		if p.PodSelector != nil {
			all = append(all, fmt.Sprintf("%s:%d", p.PodSelector.MatchLabels[v1alpha1.LabelPolicy], ports[0].Port.IntValue()))
		}
	}
	return all
}

func TestTheWallsOfAVolume(t *testing.T) {
	objects := mustLive(t, shelved())
	out := func(name string) []string {
		var all []string
		for _, rule := range policyNamed(t, objects, name).Egress {
			all = append(all, pods(rule.To, rule.Ports)...)
		}
		return all
	}
	equal(t, "where the database goes", out(meta.PolicyArchive), []string{"repository:8433"})
	equal(t, "where restores go", out(meta.PolicyRestore), []string{"repository:8433"})
	equal(t, "where base backups go, which have the volume mounted", out(meta.PolicyBackup), []string{"database:8432"})

	walls := policyNamed(t, objects, meta.PolicyRepository)
	same(t, "whose walls they are", walls.PodSelector.MatchLabels, map[string]string{v1alpha1.LabelPolicy: meta.ComponentRepository})
	if len(walls.Egress) != 0 || len(walls.Ingress) != 1 {
		t.Errorf("the server of a volume goes to %+v and is come to by %+v", walls.Egress, walls.Ingress)
	}
	equal(t, "who comes in", pods(walls.Ingress[0].From, walls.Ingress[0].Ports), []string{"database:8433", "restore:8433"})

	if closed := render.ClosedDestinations(shelved()); len(closed) > 0 {
		t.Errorf("a volume has no networks that could be closed: %v", closed)
	}
	for _, policy := range mustLive(t, backedUp(twoSites().Spec.Destinations...)).NetworkPolicies {
		if *policy.Name == meta.PolicyRepository {
			t.Error("there are walls for the server of a volume that there is not")
		}
	}
}

// Nobody but a person knows whether what lies on a volume is still wanted.
func TestAVolumeOutlivesItsDestination(t *testing.T) {
	in := shelved()
	claim := func(in render.Inputs) *corev1ac.PersistentVolumeClaimApplyConfiguration {
		claims := mustLive(t, in).Claims
		at := slices.IndexFunc(claims, func(c *corev1ac.PersistentVolumeClaimApplyConfiguration) bool { return *c.Name == "backup-shelf" })
		if at < 0 {
			t.Fatal("there is no claim backup-shelf")
		}
		return claims[at]
	}
	stored := func(in render.Inputs) string {
		return (*claim(in).Spec.Resources.Requests).Storage().String() + " of " + *claim(in).Spec.StorageClassName
	}
	same(t, "a new volume", stored(in), "20Gi of slow")
	in.Claims = map[string]*corev1.PersistentVolumeClaim{"backup-shelf": {
		ObjectMeta: metav1.ObjectMeta{Name: "backup-shelf", Labels: meta.Labels("initech", instanceID, meta.ComponentRepository)},
		Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: new(string), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("30Gi")}}},
	}}
	*in.Claims["backup-shelf"].Spec.StorageClassName = "of-old"
	same(t, "a larger volume that is there", stored(in), "30Gi of of-old")
	in.Backup.Spec.Destinations[1].Volume.Size = resource.MustParse("40Gi")
	same(t, "a volume that grows", stored(in), "40Gi of of-old")
	in.Backup = twoSites()
	same(t, "a volume that the policy does not name any more", stored(in), "30Gi of of-old")
	in.Backup, in.Tenant.Spec.BackupPolicyRef = nil, nil
	same(t, "a volume of a Tenant without a policy", stored(in), "30Gi of of-old")
	if has := mustLive(t, in).Quota.Spec.Hard; has.Name(corev1.ResourceRequestsStorage, resource.BinarySI).Value() < 40<<30 {
		t.Error("the quota has no room for a volume that is there")
	}
	if len(render.Repositories(in, mustRevision(t, in))) > 0 {
		t.Error("a server stands in front of a volume that the policy does not name any more")
	}
}

func TestQuotaHasRoomForAVolume(t *testing.T) {
	with, without := shelved(), shelved()
	without.Backup.Spec.Destinations = without.Backup.Spec.Destinations[:1]
	for name, want := range map[corev1.ResourceName]string{
		corev1.ResourcePods:                   "2", // its server, and a base backup to it
		corev1.ResourceLimitsMemory:           "768Mi",
		corev1.ResourceRequestsStorage:        "20Gi",
		corev1.ResourcePersistentVolumeClaims: "1",
	} {
		more := (*mustLive(t, with).Quota.Spec.Hard)[name].DeepCopy()
		more.Sub((*mustLive(t, without).Quota.Spec.Hard)[name])
		if more.Cmp(resource.MustParse(want)) != 0 {
			t.Errorf("a volume may use %s of %s, expected %s", more.String(), name, want)
		}
	}
}

// A policy may be named and edited at any time, and restarts nothing: what serves a volume is no part of a revision.
func TestAVolumeIsNoPartOfARevision(t *testing.T) {
	with, without := shelved(), shelved()
	without.Backup = nil
	same(t, "the revision", mustRevision(t, with).Hash(), mustRevision(t, without).Hash())

	running := mustRevision(t, with)
	with.Images.Database = "freehold/postgres:tomorrow"
	with.Class.Spec.Database.Scheduling = v1alpha1.Scheduling{}
	set := render.Repositories(with, running)[0]
	for _, container := range append(set.Spec.Template.Spec.InitContainers, set.Spec.Template.Spec.Containers...) {
		same(t, "the image of "+*container.Name, *container.Image, "freehold/postgres:0.1.0")
	}
	same(t, "the nodes", set.Spec.Template.Spec.NodeSelector, map[string]string{"disk": "fast"})

	running.Database.Spec.Template.Spec.Containers = running.Database.Spec.Template.Spec.Containers[:1]
	if len(render.Repositories(with, running)) > 0 {
		t.Error("a server waits for a database that archives nothing")
	}
}

func TestTheServersOfVolumesHaveOneCertificateAndTheirClientsAnother(t *testing.T) {
	in := shelved()
	in.Backup.Spec.Destinations = append(in.Backup.Spec.Destinations, v1alpha1.BackupDestination{Name: "attic", Volume: &v1alpha1.VolumeDestination{Size: resource.MustParse("1Gi")}})
	leaves := map[string]render.Leaf{}
	for _, leaf := range render.Certificates(in) {
		leaves[leaf.Secret] = leaf
	}
	equal(t, "the server's names", leaves[meta.RepositoryTLSSecret].DNSNames, []string{
		"backup-attic.tenant-initech.svc.cluster.local", "backup-attic.tenant-initech.svc", "backup-attic.tenant-initech",
		"backup-shelf.tenant-initech.svc.cluster.local", "backup-shelf.tenant-initech.svc", "backup-shelf.tenant-initech"})
	if client := leaves[meta.ArchiveTLSSecret]; !client.Client || client.CommonName != meta.ArchiveClient {
		t.Errorf("the client is %+v", client)
	}
	for _, leaf := range render.Certificates(dex()) {
		if leaf.Secret == meta.RepositoryTLSSecret || leaf.Secret == meta.ArchiveTLSSecret {
			t.Errorf("where there is no volume, there is a certificate for one: %s", leaf.Secret)
		}
	}
}
