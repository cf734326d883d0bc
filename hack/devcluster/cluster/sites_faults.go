// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// silenceTable drops what a site sends and receives; the site can still be administrated from inside.
const silenceTable = "dc-silence"

// smallSize is the size of the file system of a small site: room for many test databases, and soon full.
const smallSize = 8 << 30

// StopSite ends a site, so that connections to it are refused. Its files stay.
func StopSite(ctx context.Context, l Layout, name string) error {
	s, err := l.existingSite(name)
	if err != nil {
		return err
	}
	return l.stopSite(ctx, s)
}

// StartSite starts a stopped site with the files it had.
func StartSite(ctx context.Context, l Layout, progress *Progress, name string) error {
	s, err := l.existingSite(name)
	if err != nil {
		return err
	}
	return l.startSite(ctx, progress, s)
}

// SilenceSite makes a site drop every packet, also those of open connections: nobody gets an answer, not even a
// refusal. With silent false it answers again.
func SilenceSite(ctx context.Context, l Layout, name string, silent bool) error {
	s, err := l.existingSite(name)
	if err != nil {
		return err
	}
	if isSilent(ctx, s) == silent {
		return nil
	}
	rules := "delete table inet " + silenceTable
	if silent {
		rules = fmt.Sprintf(`table inet %s {
  chain input { type filter hook input priority -300; policy drop; iifname "lo" accept; }
  chain output { type filter hook output priority -300; policy drop; oifname "lo" accept; }
}`, silenceTable)
	}
	if _, err := runInput(ctx, rules, "ip", inSite(s, "nft", "-f", "-")...); err != nil {
		return fmt.Errorf("packets of site %s: %w", name, err)
	}
	return nil
}

func isSilent(ctx context.Context, s Site) bool {
	_, err := run(ctx, "ip", inSite(s, "nft", "list", "table", "inet", silenceTable)...)
	return err == nil
}

func smallSites() []string {
	var out []string
	for _, s := range Sites() {
		if s.small {
			out = append(out, s.Name)
		}
	}
	return out
}

// filler is the file that takes all free space of a small site.
func (l Layout) filler(s Site) string { return l.site(s, "disk", "filler") }

// FillSite takes all free space of a small site, or gives it back.
func FillSite(l Layout, name string, full bool) error {
	s, err := l.existingSite(name)
	if err != nil {
		return err
	}
	if !s.small {
		return fmt.Errorf("site %s has no file system of its own, so filling it would fill this machine's disk; use one of %s", name, strings.Join(smallSites(), ", "))
	}
	if mounted, err := mountsBelow(l.site(s, "disk")); err != nil || len(mounted) == 0 {
		return errors.Join(fmt.Errorf("the file system of site %s is not mounted; run `up`", name), err)
	}
	if !full {
		if err := os.Remove(l.filler(s)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	file, err := os.OpenFile(l.filler(s), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(takeAllSpace(file), file.Close())
}

// takeAllSpace reserves ever smaller pieces until not one more block is free. Reserving writes nothing, so that the
// machine's own disk does not fill.
func takeAllSpace(file *os.File) error {
	const block = 4096
	info, err := file.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	for piece := int64(1 << 30); piece >= block; {
		switch err := syscall.Fallocate(int(file.Fd()), 0, end, piece); {
		case err == nil:
			end += piece
		case errors.Is(err, syscall.ENOSPC):
			piece /= 2
		case errors.Is(err, syscall.EINTR):
		default:
			return fmt.Errorf("fill %s: %w", file.Name(), err)
		}
	}
	return nil
}

// MendSite undoes every fault of a site: it runs, answers, shows its good identity, knows the time and has room.
// Revoked tenants stay revoked.
func MendSite(ctx context.Context, l Layout, progress *Progress, name string) error {
	s, err := l.existingSite(name)
	if err != nil {
		return err
	}
	errs := []error{SilenceSite(ctx, l, name, false), SetSiteIdentity(ctx, l, progress, name, identityGood)}
	if s.Kind == SiteS3 {
		errs = append(errs, SetSiteClock(ctx, l, progress, name, clockGood))
	}
	if s.small {
		errs = append(errs, FillSite(l, name, false))
	}
	return errors.Join(append(errs, l.startSite(ctx, progress, s))...)
}

// ensureDisk makes the folder of a site's files; a small site's is a file system of its own, in a sparse file.
func (l Layout) ensureDisk(ctx context.Context, s Site) error {
	disk := l.site(s, "disk")
	if err := os.MkdirAll(disk, 0o700); err != nil {
		return err
	}
	if mounted, err := mountsBelow(disk); err != nil || !s.small || len(mounted) > 0 {
		return err
	}
	image := l.site(s, "disk.img")
	if _, err := os.Stat(image); err != nil {
		if err := makeFileSystem(ctx, image); err != nil {
			return err
		}
	}
	if _, err := run(ctx, "mount", "-o", "loop", image, disk); err != nil {
		return fmt.Errorf("file system of site %s: %w", s.Name, err)
	}
	return nil
}

func makeFileSystem(ctx context.Context, image string) error {
	file, err := os.Create(image + ".new")
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(smallSize), file.Close()); err != nil {
		return err
	}
	if _, err := run(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", image+".new"); err != nil {
		return err
	}
	return os.Rename(image+".new", image) // a killed run leaves nothing that looks done
}
