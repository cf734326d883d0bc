// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// Indexes of the Tenant cache.
const (
	// IndexHostname finds Tenants by each of their hostnames.
	IndexHostname = "spec.hostnames"
	// IndexAddress finds Tenants by the fixed address that they ask for.
	IndexAddress = "spec.network.address"
	// IndexClass finds Tenants by the class that they name.
	IndexClass = "spec.classRef.name"
)

// Indexes are the functions behind the indexes of the Tenant cache, by name.
func Indexes() map[string]client.IndexerFunc {
	return map[string]client.IndexerFunc{
		IndexHostname: func(o client.Object) []string { return hostnames(o.(*v1alpha1.Tenant)) },
		IndexAddress: func(o client.Object) []string {
			if address := o.(*v1alpha1.Tenant).Spec.Network.Address; address != "" {
				return []string{address}
			}
			return nil
		},
		IndexClass: func(o client.Object) []string { return []string{o.(*v1alpha1.Tenant).Spec.ClassRef.Name} },
		meta.IndexBackupPolicy: func(o client.Object) []string {
			if ref := o.(*v1alpha1.Tenant).Spec.BackupPolicyRef; ref != nil {
				return []string{ref.Name}
			}
			return nil
		},
	}
}

func hostnames(t *v1alpha1.Tenant) []string {
	names := make([]string, 0, len(t.Spec.Hostnames))
	for _, name := range t.Spec.Hostnames {
		names = append(names, string(name))
	}
	return names
}

// conflicts refuses a hostname or an address that an older Tenant has. The older one is not disturbed; one that runs
// already is told, and goes on being kept as it is: somebody else's edit must not cost it its repairs, nor its own edit
// the older one its name. It fills scope.wanted.
func (r *Reconciler) conflicts(ctx context.Context, s *scope) error {
	found, err := r.findContested(ctx, s)
	if err != nil || found.stalled == nil {
		return err
	}
	if len(storedRevisions(s.observed.revisions)) == 0 {
		return found.stalled
	}
	s.wanted = uncontested(s, found)
	if len(s.wanted.Spec.Hostnames) == 0 {
		return found.stalled
	}
	s.failed(found.stalled)
	return nil
}

// contested is what an older Tenant has too.
type contested struct {
	hostnames []string
	address   bool
	// stalled says so of the first; nil if there is nothing.
	stalled *stallError
}

// findContested finds the hostnames and the address that an older Tenant has too.
func (r *Reconciler) findContested(ctx context.Context, s *scope) (contested, error) {
	var found contested
	for _, name := range hostnames(s.tenant) {
		owner, err := r.olderWith(ctx, s, IndexHostname, name)
		if err != nil {
			return found, err
		}
		if owner == nil {
			continue
		}
		found.hostnames = append(found.hostnames, name)
		if found.stalled == nil {
			found.stalled = stall(v1alpha1.ReasonHostnameConflict, "hostname %s belongs to the older Tenant %s: remove it from one of the two", name, owner.Name)
		}
	}
	address := s.tenant.Spec.Network.Address
	if address == "" {
		return found, nil
	}
	owner, err := r.olderWith(ctx, s, IndexAddress, address)
	if err != nil || owner == nil {
		return found, err
	}
	found.address = true
	if found.stalled == nil {
		found.stalled = stall(v1alpha1.ReasonAddressConflict, "address %s belongs to the older Tenant %s: remove it from one of the two", address, owner.Name)
	}
	return found, nil
}

// olderWith finds the older Tenant that has a value too; nil if there is none.
func (r *Reconciler) olderWith(ctx context.Context, s *scope, index, value string) (*v1alpha1.Tenant, error) {
	others, err := r.tenantsWith(ctx, index, value)
	if err != nil {
		return nil, err
	}
	return precedes(others, s.tenant), nil
}

// uncontested is the Tenant as it may be served: without the contested hostnames that its gate does not answer for
// already, and with the address that its Service asks for already. Where no hostname is left, those stay that the gate
// answers for.
func uncontested(s *scope, found contested) *v1alpha1.Tenant {
	wanted := s.tenant.DeepCopy()
	served := servedHostnames(s.observed)
	wanted.Spec.Hostnames = slices.DeleteFunc(wanted.Spec.Hostnames, func(name v1alpha1.Hostname) bool {
		return slices.Contains(found.hostnames, string(name)) && !slices.Contains(served, string(name))
	})
	if len(wanted.Spec.Hostnames) == 0 {
		for _, name := range served {
			wanted.Spec.Hostnames = append(wanted.Spec.Hostnames, v1alpha1.Hostname(name))
		}
	}
	if found.address {
		wanted.Spec.Network.Address = askedAddress(s.observed)
	}
	return wanted
}

// servedHostnames are those that the gate answers for; none if its list is gone.
func servedHostnames(o observed) []string {
	lists := o.configMaps[meta.EdgeListsConfigMap]
	if lists == nil {
		return nil
	}
	var names []string
	for line := range strings.Lines(lists.Data[meta.KeyHostsList]) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			names = append(names, line)
		}
	}
	return names
}

// askedAddress is the fixed address that the gate's Service asks for already; "" if none.
func askedAddress(o observed) string {
	gate := o.services[meta.EdgeService]
	if gate == nil || o.class == nil {
		return ""
	}
	return gate.Annotations[o.class.Spec.LoadBalancer.AddressAnnotation]
}

func (r *Reconciler) tenantsWith(ctx context.Context, index, value string) ([]v1alpha1.Tenant, error) {
	var list v1alpha1.TenantList
	if err := r.client.List(ctx, &list, client.MatchingFields{index: value}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing Tenants by %s: %w", index, err)
	}
	return list.Items, nil
}

// precedes finds the Tenant that comes before t: the older one, and of two of the same second the one whose name
// sorts first. nil if t itself comes first.
func precedes(others []v1alpha1.Tenant, t *v1alpha1.Tenant) *v1alpha1.Tenant {
	first := t
	for i := range others {
		if older(&others[i], first) {
			first = &others[i]
		}
	}
	if first.Name == t.Name {
		return nil
	}
	return first
}

func older(a, b *v1alpha1.Tenant) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.Name < b.Name
	}
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}

// rivals are the names of the other Tenants that share a hostname or the address with t: what t gives up may
// become theirs.
func (r *Reconciler) rivals(ctx context.Context, t *v1alpha1.Tenant) ([]string, error) {
	var names []string
	indexes := Indexes()
	for _, index := range []string{IndexHostname, IndexAddress} {
		for _, value := range indexes[index](t) {
			others, err := r.tenantsWith(ctx, index, value)
			if err != nil {
				return nil, err
			}
			for i := range others {
				if others[i].Name != t.Name {
					names = append(names, others[i].Name)
				}
			}
		}
	}
	return names, nil
}
