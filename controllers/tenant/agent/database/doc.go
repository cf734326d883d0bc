// SPDX-License-Identifier: Apache-2.0

// Package database is the half of Freehold that runs inside a tenant's database pod.
//
// Prepare, in an init container, decides whether the mounted volume is the one this instance expects. It
// makes a new PostgreSQL cluster only on an empty volume of an instance that never had one; on anything else that
// it does not recognise it refuses and changes nothing, since an empty or foreign database served under a
// customer's name is worse than none.
//
// Run, as the container's first process, supervises the postmaster, provisions the roles and the application's
// database, puts new certificates and passwords into use without a restart, and answers the kubelet's probes.
// Its superuser sessions go over the Unix socket and only ever to the database "postgres", never to the
// application's: what an application puts in its own database (functions, operators, search paths) must not
// run with a superuser's rights.
//
// Run locks the volume, so that a second server of any pod on the same machine waits until the first has gone.
//
// Misuse: running Prepare without the instance files of the operator; letting
// anything else write the mark files. The mark is the only proof of whose data a volume holds.
package database
