// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Kinds of backup sites.
const (
	SiteS3   = "s3"   // versitygw with TLS
	SiteSFTP = "sftp" // OpenSSH, files only
)

// siteDomain is the domain of the sites' names, which pods can resolve.
const siteDomain = "devcluster.test"

// Site is one place that backups can go to: a machine of its own outside the cluster.
type Site struct {
	// Name is what the commands call it.
	Name string
	// Kind is SiteS3 or SiteSFTP.
	Kind string
	// Address is its IP address, in SiteCIDR.
	Address string
	// Port is where it listens.
	Port int
	// small says that its files live on a file system of their own, which can be filled.
	small bool
	// spare says that it runs only once it was started: few need more sites than the first ones.
	spare bool
}

// Host is the site's name in DNS, which its certificate carries.
func (s Site) Host() string { return s.Name + "." + siteDomain }

// Sites are the backup sites of every cluster.
func Sites() []Site {
	return []Site{
		{Name: "s3-a", Kind: SiteS3, Address: "198.19.1.10", Port: 443},
		{Name: "s3-b", Kind: SiteS3, Address: "198.19.1.20", Port: 443, small: true},
		{Name: "sftp", Kind: SiteSFTP, Address: "198.19.1.30", Port: 22},
		{Name: "s3-c", Kind: SiteS3, Address: "198.19.1.40", Port: 443, spare: true},
		{Name: "s3-d", Kind: SiteS3, Address: "198.19.1.50", Port: 443, small: true, spare: true},
		{Name: "s3-e", Kind: SiteS3, Address: "198.19.1.60", Port: 443, spare: true},
		{Name: "s3-f", Kind: SiteS3, Address: "198.19.1.70", Port: 443, spare: true},
		{Name: "s3-g", Kind: SiteS3, Address: "198.19.1.80", Port: 443, spare: true},
	}
}

// wantedSites are those that `up` starts: all but the spare ones that nobody has started yet.
func (l Layout) wantedSites() []Site {
	return slices.DeleteFunc(Sites(), func(s Site) bool { return s.spare && !l.wasStarted(s) })
}

// startedMark remembers that a site was started.
func (l Layout) startedMark(s Site) string { return l.site(s, "started") }

func (l Layout) wasStarted(s Site) bool {
	_, err := os.Stat(l.startedMark(s))
	return err == nil
}

func findSite(name string) (Site, error) {
	for _, s := range Sites() {
		if s.Name == name {
			return s, nil
		}
	}
	return Site{}, fmt.Errorf("there is no site %q; the sites are %s", name, strings.Join(SiteNames(), ", "))
}

// existingSite finds a site of a cluster that has been started: without one, nothing must be made that looks like one.
func (l Layout) existingSite(name string) (Site, error) {
	s, err := findSite(name)
	if err != nil {
		return s, err
	}
	if _, err := os.Stat(l.site(s)); err != nil {
		return s, fmt.Errorf("there is no cluster with sites; run `up` first: %w", err)
	}
	return s, nil
}

// SiteNames lists the names of the sites.
func SiteNames() []string {
	var out []string
	for _, s := range Sites() {
		out = append(out, s.Name)
	}
	return out
}

// site is the folder of one site: its objects, its accounts and what it was told to do wrong.
func (l Layout) site(s Site, elem ...string) string {
	return l.State(append([]string{"sites", s.Name}, elem...)...)
}

// upSites starts the sites that do not run. It mends nothing else: a certificate that was made to expire stays so.
func (l Layout) upSites(ctx context.Context, progress *Progress) error {
	if err := l.ensureSitePKI(); err != nil {
		return err
	}
	for _, s := range Sites() {
		if err := os.MkdirAll(l.site(s), 0o700); err != nil {
			return err
		}
	}
	for _, s := range l.wantedSites() {
		if err := l.startSite(ctx, progress, s); err != nil {
			return err
		}
	}
	return nil
}

// startSite starts a site, or restarts it when what it should serve has changed.
func (l Layout) startSite(ctx context.Context, progress *Progress, s Site) error {
	d, err := l.siteDaemon(ctx, s)
	if err != nil {
		return fmt.Errorf("site %s: %w", s.Name, err)
	}
	if err := os.WriteFile(l.startedMark(s), nil, 0o600); err != nil {
		return err
	}
	return l.up(ctx, progress, d)
}

// siteDaemon makes what the site's program needs and says how to run it.
func (l Layout) siteDaemon(ctx context.Context, s Site) (daemon, error) {
	var d daemon
	var err error
	if s.Kind == SiteS3 {
		d, err = l.s3Daemon(ctx, s)
	} else {
		d, err = l.sftpDaemon(ctx, s)
	}
	d.name = s.Name
	d.ready = func(context.Context) error { return l.siteListens(s) }
	return d, err
}

// siteListens looks at the program's sockets instead of connecting: a site that drops packets serves all the same.
func (l Layout) siteListens(s Site) error {
	r, ok := l.running(s.Name)
	if !ok {
		return fmt.Errorf("site %s does not run", s.Name)
	}
	sockets, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", r.PID))
	if err != nil {
		return err
	}
	if !listens(string(sockets), s.Port) {
		return fmt.Errorf("site %s does not listen on port %d yet", s.Name, s.Port)
	}
	return nil
}

// listens reads /proc/PID/net/tcp, whose second field is ADDRESS:PORT in hexadecimal and whose fourth is the state.
func listens(sockets string, port int) bool {
	const listening = "0A"
	for line := range strings.Lines(sockets) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != listening {
			continue
		}
		_, local, _ := strings.Cut(fields[1], ":")
		if got, err := strconv.ParseInt(local, 16, 32); err == nil && int(got) == port {
			return true
		}
	}
	return false
}

// inSite is a command line that runs in the site's network.
func inSite(s Site, command ...string) []string {
	return append([]string{"netns", "exec", machineNamespace(s.Name)}, command...)
}

// stopSite ends a site at once, as a power cut does, with the sessions that outlive its program.
func (l Layout) stopSite(ctx context.Context, s Site) error {
	err := l.stop(ctx, s.Name, syscall.SIGKILL, 5*time.Second)
	return errors.Join(err, killAll(ctx, func() []int { return siteProcesses(ctx, s) }))
}

// siteProcesses lists the living processes in a site's network.
func siteProcesses(ctx context.Context, s Site) []int {
	out, err := run(ctx, "ip", "netns", "pids", machineNamespace(s.Name))
	if err != nil {
		return nil // the network is not there, so nothing can be in it
	}
	var pids []int
	for field := range strings.FieldsSeq(out) {
		if pid, err := strconv.Atoi(field); err == nil && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// SiteReport is what [ListSites] says about a site, for people and for tests.
type SiteReport struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Host    string `json:"host"`
	Address string `json:"address"`
	Port    int    `json:"port"`
	// Endpoint is the URL of an S3 site.
	Endpoint string `json:"endpoint,omitempty"`
	// CAFile is the path of the certificate authority that signs the certificates of S3 sites.
	CAFile string `json:"caFile,omitempty"`
	Region string `json:"region,omitempty"`
	Bucket string `json:"bucket,omitempty"`
	// Root may do everything at an S3 site.
	Root *Credentials `json:"root,omitempty"`
	// HostKey is how an SFTP site is known.
	HostKey *HostKey `json:"hostKey,omitempty"`
	// Objects is the folder on this machine where the stored files lie as they are, one folder per tenant.
	Objects string `json:"objects"`
	// Running says whether its program runs; a stopped site refuses connections.
	Running bool `json:"running"`
	// Identity is "good", or how its certificate or host key is wrong: "expired", "other".
	Identity string `json:"identity"`
	// Clock is "good" or "skewed".
	Clock string `json:"clock"`
	// Silent says that it drops every packet.
	Silent bool `json:"silent"`
	// Full says that its file system has been filled.
	Full bool `json:"full"`
}

// ListSites describes every site of a running cluster. It needs root, since it reads secrets.
func ListSites(ctx context.Context, l Layout) ([]SiteReport, error) {
	var out []SiteReport
	for _, name := range SiteNames() {
		s, err := l.existingSite(name)
		if err != nil {
			return nil, err
		}
		report, err := l.reportSite(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("site %s: %w", s.Name, err)
		}
		out = append(out, report)
	}
	return out, nil
}

func (l Layout) reportSite(ctx context.Context, s Site) (SiteReport, error) {
	_, running := l.running(s.Name)
	_, full := os.Stat(l.filler(s))
	r := SiteReport{
		Name: s.Name, Kind: s.Kind, Host: s.Host(), Address: s.Address, Port: s.Port,
		Running: running, Identity: l.identity(s), Clock: l.siteClock(s), Silent: isSilent(ctx, s), Full: full == nil,
	}
	if s.Kind == SiteSFTP {
		key, err := l.hostKey(s)
		r.HostKey, r.Objects = &key, l.site(s, "root", "data")
		return r, err
	}
	root, err := l.rootCredentials(s)
	r.Endpoint, r.CAFile, r.Region = "https://"+s.Host(), l.pki(siteAuthority+".crt"), siteRegion
	r.Bucket, r.Root, r.Objects = siteBucket, &root, l.site(s, "disk", "data", siteBucket)
	return r, err
}

// identities of a site: the certificate or host key that it shows.
const (
	identityGood    = "good"
	identityExpired = "expired" // S3: a certificate that ended yesterday
	identityOther   = "other"   // SFTP: another host key than the one that was told
)

// wrongIdentity is the one wrong identity that a kind of site can show.
func wrongIdentity(s Site) string {
	if s.Kind == SiteS3 {
		return identityExpired
	}
	return identityOther
}

func (l Layout) identity(s Site) string {
	wrong, err := os.ReadFile(l.site(s, "identity"))
	if err != nil {
		return identityGood
	}
	return string(wrong)
}

// SetSiteIdentity makes a site show a good or a wrong certificate or host key, and restarts it when it runs.
func SetSiteIdentity(ctx context.Context, l Layout, progress *Progress, name, identity string) error {
	s, err := l.existingSite(name)
	if err != nil {
		return err
	}
	if possible := []string{identityGood, wrongIdentity(s)}; !slices.Contains(possible, identity) {
		return fmt.Errorf("site %s can be %s, not %q", s.Name, strings.Join(possible, " or "), identity)
	}
	if err := os.WriteFile(l.site(s, "identity"), []byte(identity), 0o600); err != nil {
		return err
	}
	return l.restartSite(ctx, progress, s)
}

// restartSite lets a running site serve what it was told to; a stopped one will when it is started.
func (l Layout) restartSite(ctx context.Context, progress *Progress, s Site) error {
	if _, running := l.running(s.Name); !running {
		return nil
	}
	return l.startSite(ctx, progress, s)
}
