// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	siteRegion = "us-east-1"
	// siteBucket is the one bucket that all tenants share, each below a prefix of its own.
	siteBucket    = "freehold"
	siteAuthority = "sites-ca"
)

// Credentials are one user's at an S3 site.
type Credentials struct {
	AccessKeyID     string `json:"accessKeyID"`
	SecretAccessKey string `json:"secretAccessKey"`
}

// S3Tenant is what a tenant gets at an S3 site.
type S3Tenant struct {
	Bucket string `json:"bucket"`
	// Prefix is where the tenant's objects must be; it ends with a slash.
	Prefix string `json:"prefix"`
	// Write may store, read and list below the prefix, and delete nothing.
	Write Credentials `json:"write"`
	// Manage may delete, too.
	Manage Credentials `json:"manage"`
}

// ensureSitePKI makes the authority of the S3 sites and two certificates for each: a good and an expired one.
func (l Layout) ensureSitePKI() error {
	complete := l.pki("sites-complete")
	if _, err := os.Stat(complete); err == nil {
		return nil
	}
	ca, err := l.newAuthority(siteAuthority, "devcluster-sites")
	if err != nil {
		return err
	}
	for _, s := range Sites() {
		if s.Kind != SiteS3 {
			continue
		}
		id := identity{file: siteCertificate(s, identityGood), commonName: s.Host(), dnsNames: []string{s.Host()}, addresses: []string{s.Address}}
		if err := l.issue(ca, id); err != nil {
			return err
		}
		id.file, id.expired = siteCertificate(s, identityExpired), true
		if err := l.issue(ca, id); err != nil {
			return err
		}
	}
	return os.WriteFile(complete, nil, 0o600)
}

// siteCertificate is the name of a certificate's files.
func siteCertificate(s Site, identity string) string { return "site-" + s.Name + "-" + identity }

// s3Daemon is an S3 server on ordinary files. Metadata lie beside the objects, not in extended attributes, whose size
// the file system limits to less than the policy of a dozen tenants.
func (l Layout) s3Daemon(ctx context.Context, s Site) (daemon, error) {
	bin, err := l.builtTool(ctx, "versitygw")
	if err != nil {
		return daemon{}, err
	}
	if err := l.ensureDisk(ctx, s); err != nil {
		return daemon{}, err
	}
	for _, dir := range []string{"disk/data", "disk/versions", "disk/meta", "iam", "tenants"} {
		if err := os.MkdirAll(l.site(s, dir), 0o700); err != nil {
			return daemon{}, err
		}
	}
	root, err := l.rootCredentials(s)
	if err != nil {
		return daemon{}, err
	}
	certificate := l.pki(siteCertificate(s, l.identity(s)))
	if l.siteClock(s) == clockSkewed {
		return l.skewedDaemon(s, certificate), nil
	}
	return daemon{
		path: lookPath("ip"),
		args: inSite(s, filepath.Join(bin, "versitygw"), "--port", fmt.Sprintf("%s:%d", s.Address, s.Port),
			"--cert", certificate+".crt", "--key", certificate+".key", "--region", siteRegion,
			// Without a cache a revoked key is refused at once.
			"--iam-dir", l.site(s, "iam"), "--iam-cache-disable", "--keep-alive", "--quiet",
			"--access-log", l.State("log", s.Name+"-access.log"),
			"posix", "--sidecar", l.site(s, "disk", "meta"), "--versioning-dir", l.site(s, "disk", "versions"), l.site(s, "disk", "data")),
		env:    []string{"ROOT_ACCESS_KEY=" + root.AccessKeyID, "ROOT_SECRET_KEY=" + root.SecretAccessKey},
		inputs: []string{certificate + ".crt"},
	}, nil
}

// rootCredentials makes a site's root user once.
func (l Layout) rootCredentials(s Site) (Credentials, error) {
	var root Credentials
	err := readJSON(l.site(s, "root.json"), &root)
	if !errors.Is(err, os.ErrNotExist) {
		return root, err
	}
	root = Credentials{AccessKeyID: "root", SecretAccessKey: newSecret()}
	return root, writeJSON(l.site(s, "root.json"), root)
}

func newSecret() string {
	secret := make([]byte, 20)
	_, _ = rand.Read(secret) // never fails, see its documentation
	return hex.EncodeToString(secret)
}

// s3Tenant makes a tenant's two users and grants them its prefix; done before, it repeats what it said.
func (l Layout) s3Tenant(ctx context.Context, s Site, tenant string) (S3Tenant, error) {
	var t S3Tenant
	if err := readJSON(l.tenantFile(s, tenant), &t); err == nil {
		return t, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return t, err
	}
	t = S3Tenant{
		Bucket: siteBucket, Prefix: tenant + "/",
		Write:  Credentials{AccessKeyID: tenant + "-write", SecretAccessKey: newSecret()},
		Manage: Credentials{AccessKeyID: tenant + "-manage", SecretAccessKey: newSecret()},
	}
	for _, user := range []Credentials{t.Write, t.Manage} {
		if err := l.ensureUser(ctx, s, user); err != nil {
			return t, err
		}
	}
	names, err := l.tenants(s)
	if err != nil {
		return t, err
	}
	if err := l.ensureBucket(ctx, s); err != nil {
		return t, err
	}
	if err := l.setPolicy(ctx, s, append(names, tenant)); err != nil {
		return t, err
	}
	return t, writeJSON(l.tenantFile(s, tenant), t) // last: what is written works
}

// revokeS3Tenant takes the grants first: a policy that names unknown users is refused.
func (l Layout) revokeS3Tenant(ctx context.Context, s Site, tenant string) error {
	var t S3Tenant
	if err := readJSON(l.tenantFile(s, tenant), &t); err != nil {
		return fmt.Errorf("tenant %s has no credentials at site %s: %w", tenant, s.Name, err)
	}
	if err := os.Remove(l.tenantFile(s, tenant)); err != nil {
		return err
	}
	names, err := l.tenants(s)
	if err != nil {
		return err
	}
	errs := []error{l.setPolicy(ctx, s, names)}
	for _, user := range []Credentials{t.Write, t.Manage} {
		errs = append(errs, l.administrate(ctx, s, "delete-user", "--access", user.AccessKeyID))
	}
	return errors.Join(errs...)
}

// ensureUser makes a user; one that a killed run left gets the new secret.
func (l Layout) ensureUser(ctx context.Context, s Site, user Credentials) error {
	err := l.administrate(ctx, s, "create-user", "--access", user.AccessKeyID, "--secret", user.SecretAccessKey, "--role", "user")
	if err == nil {
		return nil
	}
	if again := l.administrate(ctx, s, "update-user", "--access", user.AccessKeyID, "--secret", user.SecretAccessKey); again != nil {
		return errors.Join(err, again)
	}
	return nil
}

// ensureBucket makes the shared bucket. Root owns it: an owner could do everything in it.
func (l Layout) ensureBucket(ctx context.Context, s Site) error {
	if _, err := os.Stat(l.site(s, "disk", "data", siteBucket)); err == nil {
		return nil
	}
	return l.s3Request(ctx, s, "PUT", "/"+siteBucket, "")
}

// administrate runs the server's own administration program, inside the site, where faults do not reach.
func (l Layout) administrate(ctx context.Context, s Site, command ...string) error {
	bin, err := l.builtTool(ctx, "versitygw")
	if err != nil {
		return err
	}
	root, err := l.rootCredentials(s)
	if err != nil {
		return err
	}
	args := inSite(s, filepath.Join(bin, "versitygw"), "admin", "--access", root.AccessKeyID, "--secret", root.SecretAccessKey,
		"--allow-insecure", "--endpoint-url", fmt.Sprintf("https://%s:%d", s.Address, s.Port))
	_, err = run(ctx, "ip", append(args, command...)...)
	return err
}

// s3Request sends a signed request as root, from inside the site.
func (l Layout) s3Request(ctx context.Context, s Site, method, path, body string) error {
	root, err := l.rootCredentials(s)
	if err != nil {
		return err
	}
	config := fmt.Sprintf("user = \"%s:%s\"\n", root.AccessKeyID, root.SecretAccessKey)
	args := inSite(s, "curl", "--config", "-", "--silent", "--show-error", "--fail-with-body", "--insecure", "--max-time", "20",
		"--aws-sigv4", "aws:amz:"+siteRegion+":s3", "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD",
		"--request", method, fmt.Sprintf("https://%s:%d%s", s.Address, s.Port, path))
	if body != "" {
		args = append(args, "--data-binary", body)
	}
	if out, err := runInput(ctx, config, "ip", args...); err != nil {
		return fmt.Errorf("%w %s", err, strings.TrimSpace(out))
	}
	return nil
}

// setPolicy grants each of the tenants its prefix.
func (l Layout) setPolicy(ctx context.Context, s Site, tenants []string) error {
	// "policy=": curl signs a parameter without "=" in another way than the server reads it.
	const path = "/" + siteBucket + "?policy="
	if len(tenants) == 0 {
		return l.s3Request(ctx, s, "DELETE", path, "")
	}
	policy, err := json.Marshal(bucketPolicy(tenants))
	if err != nil {
		return err
	}
	return l.s3Request(ctx, s, "PUT", path, string(policy))
}

type policyDocument struct {
	Version   string
	Statement []policyStatement
}

type policyStatement struct {
	Effect    string
	Principal map[string][]string
	Action    []string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

// bucketPolicy lets each tenant's users into its own prefix only; deleting is for the managing one alone.
func bucketPolicy(tenants []string) policyDocument {
	const bucket = "arn:aws:s3:::" + siteBucket
	policy := policyDocument{Version: "2012-10-17"}
	for _, tenant := range tenants {
		manage := map[string][]string{"AWS": {tenant + "-manage"}}
		both := map[string][]string{"AWS": {tenant + "-write", tenant + "-manage"}}
		objects := bucket + "/" + tenant + "/*"
		policy.Statement = append(policy.Statement,
			policyStatement{Effect: "Allow", Principal: both, Resource: objects,
				Action: []string{"s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}},
			policyStatement{Effect: "Allow", Principal: both, Resource: bucket, Action: []string{"s3:ListBucket"},
				Condition: map[string]map[string]string{"StringLike": {"s3:prefix": tenant + "/*"}}},
			policyStatement{Effect: "Allow", Principal: manage, Resource: objects, Action: []string{"s3:DeleteObject"}})
	}
	return policy
}
