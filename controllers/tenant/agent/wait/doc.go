// SPDX-License-Identifier: Apache-2.0

// Package wait holds an application's pod back until what it needs is there.
//
// The application's own way is gone to the end: the certificate is verified against the tenant's authority and
// name, the login uses SCRAM with the mounted password, and a query is answered. There is no deadline; the pod
// shows as initialising, and the log says why.
package wait
