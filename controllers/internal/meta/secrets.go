// SPDX-License-Identifier: Apache-2.0

package meta

// Annotations on the Secrets that the operator makes. They let an audit judge a Secret without reading its content.
const (
	// AnnotationMadeFrom is a keyed hash of what the Secret was made from.
	AnnotationMadeFrom = "freehold.dev/made-from"
	// AnnotationNotAfter is when the certificate in the Secret expires, in RFC 3339.
	AnnotationNotAfter = "freehold.dev/not-after"
	// AnnotationRenewAt is when the certificate in the Secret is to be replaced, in RFC 3339; only on
	// certificates that the tenant's own authority issued.
	AnnotationRenewAt = "freehold.dev/renew-at"
	// AnnotationSource tells where the certificate in the Secret came from: SourceAuthority, or the Secret that
	// it was copied from.
	AnnotationSource = "freehold.dev/source"
	// SourceAuthority is the tenant's own internal authority.
	SourceAuthority = "authority"
)

// Keys of the escrow Secret, beside KeyTLSCert and KeyTLSKey of the authority.
const (
	// KeyEscrowPassword is the password of the application's database role.
	KeyEscrowPassword = "database-password"
	// EscrowGeneratedPrefix begins the keys of the values that the class asks for by name.
	EscrowGeneratedPrefix = "generated-"
)
