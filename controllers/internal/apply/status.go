// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// Status applies the part of a Tenant's status that one field owner has: what it leaves out and had before goes, what
// other owners have stays. A Tenant that is gone needs none; one that was made anew refuses that of its predecessor.
func Status(ctx context.Context, c client.Client, tenant *v1alpha1.Tenant, own v1alpha1.TenantStatus, owner string) error {
	raw, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Tenant",
		"metadata": map[string]any{"name": tenant.Name, "uid": tenant.UID},
		"status":   own,
	})
	if err != nil {
		return fmt.Errorf("encoding the status of Tenant %s: %w", tenant.Name, err)
	}
	answer := &v1alpha1.Tenant{}
	answer.Name = tenant.Name
	err = c.Status().Patch(ctx, answer, client.RawPatch(types.ApplyPatchType, raw), client.FieldOwner(owner), client.ForceOwnership)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of Tenant %s: %w", tenant.Name, err)
	}
	return nil
}
