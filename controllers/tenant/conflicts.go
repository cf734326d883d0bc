// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
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
// already is told, and goes on being kept as it is: somebody else's edit must not cost it its repairs.
func (r *Reconciler) conflicts(ctx context.Context, s *scope) error {
	err := r.findConflict(ctx, s)
	if asStall(err) != nil && len(storedRevisions(s.observed.revisions)) > 0 {
		s.failed(err)
		return nil
	}
	return err
}

// findConflict is a stall if an older Tenant has one of the hostnames or the address.
func (r *Reconciler) findConflict(ctx context.Context, s *scope) error {
	for _, name := range hostnames(s.tenant) {
		others, err := r.tenantsWith(ctx, IndexHostname, name)
		if err != nil {
			return err
		}
		if owner := precedes(others, s.tenant); owner != nil {
			return stall(v1alpha1.ReasonHostnameConflict, "hostname %s belongs to the older Tenant %s: remove it from one of the two", name, owner.Name)
		}
	}
	address := s.tenant.Spec.Network.Address
	if address == "" {
		return nil
	}
	others, err := r.tenantsWith(ctx, IndexAddress, address)
	if err != nil {
		return err
	}
	if owner := precedes(others, s.tenant); owner != nil {
		return stall(v1alpha1.ReasonAddressConflict, "address %s belongs to the older Tenant %s: remove it from one of the two", address, owner.Name)
	}
	return nil
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
	for index, values := range Indexes() {
		if index == IndexClass {
			continue
		}
		for _, value := range values(t) {
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
