// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: "freehold.dev", Version: "v1alpha1"}

// SchemeGroupVersion is GroupVersion under the name that generated apply configurations expect.
var SchemeGroupVersion = GroupVersion

// AddToScheme adds the kinds of this package to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&Tenant{}, &TenantList{},
		&TenantClass{}, &TenantClassList{},
		&BackupPolicy{}, &BackupPolicyList{},
		&Backup{}, &BackupList{},
		&Restore{}, &RestoreList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
