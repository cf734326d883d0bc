// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the API group freehold.dev/v1alpha1: what users of Freehold write and read.
//
// A Tenant is one customer's instance; a TenantClass is the product and plan that the instance is made from.
// Everything here is data and rules on data: validation lives in markers (OpenAPI and CEL, evaluated by the
// API server), so that a wrong object is refused where the user is looking and no webhook has to be up.
//
// Conventions: the spec of an object belongs to its users and is never written by the operator; status is
// never an input that could not be observed or computed again.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +groupName=freehold.dev
package v1alpha1
