// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// databaseNames are the database that holds an instance's data and the role that owns it. They are the class's when
// the instance begins, and the instance's own from then on: another class's would lead the application to a new, empty
// database beside its data.
type databaseNames struct{ database, user string }

func (n databaseNames) complete() bool { return n.database != "" && n.user != "" }

func classNames(class *v1alpha1.TenantClass) databaseNames {
	return databaseNames{database: string(class.Spec.Database.Name), user: string(class.Spec.Database.User)}
}

// namesIn reads an escrow.
func namesIn(data map[string][]byte) databaseNames {
	return databaseNames{database: string(data[meta.KeyInstanceDatabase]), user: string(data[meta.KeyInstanceUser])}
}

// rememberedNames are what the ConfigMap freehold-instance says, so that no Secret need be read to know them.
func rememberedNames(o observed) databaseNames {
	return databaseNames{database: remembered(o, meta.KeyInstanceDatabase), user: remembered(o, meta.KeyInstanceUser)}
}

// database fills scope.names and scope.moved. A class with other names is taken with the instance's instead; what runs
// goes on and is repaired.
func (r *Reconciler) database(ctx context.Context, s *scope) error {
	class := s.observed.class
	wanted := classNames(class)
	s.names = rememberedNames(s.observed)
	if s.names != wanted && s.observed.namespace != nil {
		var err error
		if s.names, err = r.storedNames(ctx, s); err != nil {
			return err
		}
	}
	if !s.names.complete() {
		var err error
		if s.names, err = r.firstNames(ctx, s, wanted); err != nil {
			return err
		}
	}
	if s.names == wanted {
		return nil
	}
	s.moved = stall(v1alpha1.ReasonInvalidSpec,
		"class %s keeps its data in database %s as %s, this instance in %s as %s: name a class with the same database.name and database.user; what runs goes on, and no update is offered meanwhile",
		class.Name, wanted.database, wanted.user, s.names.database, s.names.user)
	s.failed(s.moved)
	s.observed.class = class.DeepCopy()
	s.observed.class.Spec.Database.Name = v1alpha1.Identifier(s.names.database)
	s.observed.class.Spec.Database.User = v1alpha1.Identifier(s.names.user)
	return nil
}

// firstNames are those of a new instance: its class's, or those in the backups that it is filled from.
func (r *Reconciler) firstNames(ctx context.Context, s *scope, wanted databaseNames) (databaseNames, error) {
	source, err := r.sourceEscrow(ctx, s)
	if err != nil || source == nil {
		return wanted, err
	}
	if names := namesIn(source.Data); names.complete() {
		return names, nil
	}
	return wanted, nil // The other instance's escrow is older than the names in it.
}

// storedNames reads the names from the escrow, or from the application's credentials where the escrow is lost or older
// than they are in it. Incomplete if neither has them.
func (r *Reconciler) storedNames(ctx context.Context, s *scope) (databaseNames, error) {
	escrow := &corev1.Secret{}
	key := types.NamespacedName{Namespace: r.options.Facts.OperatorNamespace, Name: meta.EscrowSecret(s.instanceID)}
	if err := r.api.Get(ctx, key, escrow); err != nil && !apierrors.IsNotFound(err) {
		return databaseNames{}, fmt.Errorf("reading the escrow %s: %w", key, err)
	}
	if names := namesIn(escrow.Data); names.complete() {
		return names, nil
	}
	names, err := r.credentialNames(ctx, s)
	if apierrors.IsForbidden(err) {
		return databaseNames{}, nil // The RoleBinding comes later in the pass; loadEscrow looks again after it.
	}
	return names, err
}

// credentialNames reads the names from the application's credentials; incomplete if there are none.
func (r *Reconciler) credentialNames(ctx context.Context, s *scope) (databaseNames, error) {
	live := &corev1.Secret{}
	key := types.NamespacedName{Namespace: s.namespace, Name: meta.CredentialsSecret}
	err := r.api.Get(ctx, key, live)
	if err != nil && !apierrors.IsNotFound(err) {
		return databaseNames{}, fmt.Errorf("reading Secret %s: %w", key, err)
	}
	return databaseNames{database: string(live.Data[meta.KeyDatabaseName]), user: string(live.Data[meta.KeyDatabaseUser])}, nil
}

// nameEscrow completes an escrow that lacks the names: from the live credentials, else with those that the pass went
// by. It reports whether it added any.
func (r *Reconciler) nameEscrow(ctx context.Context, s *scope, escrow *corev1.Secret) (bool, error) {
	if namesIn(escrow.Data).complete() {
		return false, nil
	}
	names, err := r.credentialNames(ctx, s)
	if err != nil {
		return false, err
	}
	if !names.complete() {
		names = s.names
	}
	if escrow.Data == nil {
		escrow.Data = map[string][]byte{}
	}
	escrow.Data[meta.KeyInstanceDatabase], escrow.Data[meta.KeyInstanceUser] = []byte(names.database), []byte(names.user)
	return true, nil
}

// confirmNames compares what the pass went by with the escrow, before anything is made from it.
func confirmNames(s *scope, safe *escrow) error {
	if safe.names == s.names {
		return nil
	}
	return &stallError{reason: v1alpha1.ReasonConflict, retry: conflictRetry, message: fmt.Sprintf(
		"ConfigMap %s/%s or the class says that the data is in database %s as %s, the escrow %s says %s as %s: nothing is changed; if the ConfigMap was edited, delete it",
		s.namespace, meta.InstanceConfigMap, s.names.database, s.names.user, meta.EscrowSecret(s.instanceID), safe.names.database, safe.names.user)}
}
