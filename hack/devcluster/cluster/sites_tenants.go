// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var tenantName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$`)

// SiteTenant gives a tenant what it needs to store backups at a site, an [S3Tenant] or an [SFTPTenant]. It can be
// repeated and then returns the same, until [RevokeSiteTenant].
func SiteTenant(ctx context.Context, l Layout, name, tenant string) (any, error) {
	s, err := l.siteForTenant(name, tenant)
	if err != nil {
		return nil, err
	}
	if s.Kind == SiteS3 {
		return l.s3Tenant(ctx, s, tenant)
	}
	return l.sftpTenant(ctx, s, tenant)
}

// RevokeSiteTenant makes a tenant's credentials at a site worthless. What it stored stays, and SiteTenant gives it new
// credentials for it.
func RevokeSiteTenant(ctx context.Context, l Layout, name, tenant string) error {
	s, err := l.siteForTenant(name, tenant)
	if err != nil {
		return err
	}
	if s.Kind == SiteS3 {
		return l.revokeS3Tenant(ctx, s, tenant)
	}
	return l.revokeSFTPTenant(s, tenant)
}

func (l Layout) siteForTenant(name, tenant string) (Site, error) {
	s, err := l.existingSite(name)
	if err != nil {
		return s, err
	}
	if !tenantName.MatchString(tenant) {
		return s, fmt.Errorf("a tenant's name has small letters, digits and dashes, at most 52, not %q", tenant)
	}
	if _, running := l.running(s.Name); !running {
		return s, fmt.Errorf("site %s does not run; `site start %s` or `up` starts it", s.Name, s.Name)
	}
	return s, nil
}

func (l Layout) tenantFile(s Site, tenant string) string { return l.site(s, "tenants", tenant+".json") }

// tenants lists those that have an account at a site, sorted.
func (l Layout) tenants(s Site) ([]string, error) {
	files, err := filepath.Glob(l.site(s, "tenants", "*.json"))
	var out []string
	for _, file := range files {
		out = append(out, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	return out, err
}

func readJSON(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file that only root may read, whole or not at all.
func writeJSON(path string, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
