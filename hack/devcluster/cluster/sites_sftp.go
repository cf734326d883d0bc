// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// sshServer needs its full path: it starts itself again for each connection.
	sshServer = "/usr/sbin/sshd"
	// sftpMount is where the server sees its files: every parent of a folder that it locks a user into must be root's,
	// which the user's cache folder need not be.
	sftpMount = "/srv"
	// sftpDirectory is the tenant's folder as the tenant sees it.
	sftpDirectory = "/backups"
	firstSFTPUser = 20001
)

// HostKey is how an SFTP server is known, in the ways that clients want it.
type HostKey struct {
	// KnownHosts is a line for a known_hosts file.
	KnownHosts string `json:"knownHosts"`
	// SHA1 is the fingerprint in hexadecimal, without separators, as pgBackRest wants it.
	SHA1 string `json:"sha1"`
	// SHA256 is the fingerprint in hexadecimal, without separators, as pgBackRest wants it.
	SHA256 string `json:"sha256"`
}

// SFTPTenant is what a tenant gets at the SFTP site.
type SFTPTenant struct {
	User    string  `json:"user"`
	Host    string  `json:"host"`
	Port    int     `json:"port"`
	HostKey HostKey `json:"hostKey"`
	// Directory is the only folder that the tenant can write to; above it, it sees nothing of others.
	Directory string `json:"directory"`
	// PrivateKey is in OpenSSH's format, without a passphrase.
	PrivateKey string `json:"privateKey"`
	PublicKey  string `json:"publicKey"`
}

// sftpAccount is what the site remembers of a tenant; a revoked one has no keys and keeps its user id for its files.
type sftpAccount struct {
	UID                   int
	PrivateKey, PublicKey string
}

func sftpUser(tenant string) string { return "sftp-" + tenant }

// sftpDaemon is OpenSSH's server with a user list of its own, in a private view of the file system: no user of this
// machine can log in there, and no tenant is a user of this machine.
func (l Layout) sftpDaemon(ctx context.Context, s Site) (daemon, error) {
	for dir, mode := range map[string]os.FileMode{"tenants": 0o700, "root": 0o755, "root/data": 0o755, "root/keys": 0o755} {
		if err := errors.Join(os.MkdirAll(l.site(s, dir), mode), os.Chmod(l.site(s, dir), mode)); err != nil {
			return daemon{}, err
		}
	}
	for _, identity := range []string{identityGood, identityOther} {
		if err := makeKey(ctx, l.hostKeyFile(s, identity), s.Host()); err != nil {
			return daemon{}, err
		}
	}
	if err := l.writeSFTPUsers(s); err != nil {
		return daemon{}, err
	}
	config := l.site(s, "root", "sshd_config")
	if err := os.WriteFile(config, []byte(sshConfig(s, l.identity(s))), 0o600); err != nil {
		return daemon{}, err
	}
	const script = `for file in passwd shadow group; do mount --bind "$1/$file" /etc/$file; done
mount --bind "$1/root" ` + sftpMount + `
mount -t tmpfs run /run
mkdir -m 755 /run/sshd
exec ` + sshServer + ` -D -e -f ` + sftpMount + `/sshd_config`
	return daemon{
		path:   lookPath("ip"),
		args:   inSite(s, "unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", l.site(s)),
		inputs: []string{config},
	}, nil
}

func sshConfig(s Site, identity string) string {
	return fmt.Sprintf(`ListenAddress %[1]s
Port %[2]d
HostKey %[3]s/hostkey-%[4]s
PidFile none
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile %[3]s/keys/%%u
StrictModes no
ChrootDirectory %[3]s/data/%%u
ForceCommand internal-sftp
Subsystem sftp internal-sftp
DisableForwarding yes
PermitTTY no
MaxStartups 200
MaxSessions 50
`, s.Address, s.Port, sftpMount, identity)
}

// makeKey makes a key pair once.
func makeKey(ctx context.Context, path, comment string) error {
	if _, err := os.Stat(path + ".pub"); err == nil {
		return nil
	}
	_ = os.Remove(path) // half-made by a killed run: the program would ask whether to overwrite it
	_, err := run(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path)
	return err
}

func (l Layout) hostKeyFile(s Site, identity string) string {
	return l.site(s, "root", "hostkey-"+identity)
}

// hostKey is always the good one, also while the site shows another.
func (l Layout) hostKey(s Site) (HostKey, error) {
	public, err := os.ReadFile(l.hostKeyFile(s, identityGood) + ".pub")
	if err != nil {
		return HostKey{}, err
	}
	return parseHostKey(s.Host(), string(public))
}

// parseHostKey reads a public key's line: type, key, comment.
func parseHostKey(host, public string) (HostKey, error) {
	fields := strings.Fields(public)
	if len(fields) < 2 {
		return HostKey{}, fmt.Errorf("%q is no public key", public)
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return HostKey{}, fmt.Errorf("public key of %s: %w", host, err)
	}
	short, long := sha1.Sum(blob), sha256.Sum256(blob)
	return HostKey{
		KnownHosts: strings.Join([]string{host, fields[0], fields[1]}, " "),
		SHA1:       hex.EncodeToString(short[:]), SHA256: hex.EncodeToString(long[:]),
	}, nil
}

func (l Layout) sftpTenant(ctx context.Context, s Site, tenant string) (SFTPTenant, error) {
	accounts, err := l.sftpAccounts(s)
	if err != nil {
		return SFTPTenant{}, err
	}
	account, known := accounts[tenant]
	if !known {
		account.UID = nextUser(accounts)
	}
	if account.PrivateKey == "" {
		if account.PrivateKey, account.PublicKey, err = newKey(ctx, tenant); err != nil {
			return SFTPTenant{}, err
		}
	}
	if err := l.ensureSFTPFolder(s, tenant, account.UID); err != nil {
		return SFTPTenant{}, err
	}
	if err := os.WriteFile(l.site(s, "root", "keys", sftpUser(tenant)), []byte(account.PublicKey), 0o644); err != nil {
		return SFTPTenant{}, err
	}
	if err := errors.Join(writeJSON(l.tenantFile(s, tenant), account), l.writeSFTPUsers(s)); err != nil {
		return SFTPTenant{}, err
	}
	key, err := l.hostKey(s)
	return SFTPTenant{
		User: sftpUser(tenant), Host: s.Host(), Port: s.Port, HostKey: key, Directory: sftpDirectory,
		PrivateKey: account.PrivateKey, PublicKey: account.PublicKey,
	}, err
}

// ensureSFTPFolder makes the tenant's root, which it cannot write to, and the folder in it that is its own.
func (l Layout) ensureSFTPFolder(s Site, tenant string, uid int) error {
	root := l.site(s, "root", "data", sftpUser(tenant))
	folder := root + sftpDirectory
	return errors.Join(os.MkdirAll(folder, 0o755), os.Chmod(root, 0o755), os.Chmod(folder, 0o700), os.Chown(folder, uid, uid))
}

// revokeSFTPTenant forgets the tenant's key; its files and its user id stay.
func (l Layout) revokeSFTPTenant(s Site, tenant string) error {
	var account sftpAccount
	if err := readJSON(l.tenantFile(s, tenant), &account); err != nil {
		return fmt.Errorf("tenant %s has no key at site %s: %w", tenant, s.Name, err)
	}
	if err := os.Remove(l.site(s, "root", "keys", sftpUser(tenant))); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return writeJSON(l.tenantFile(s, tenant), sftpAccount{UID: account.UID})
}

func newKey(ctx context.Context, comment string) (private, public string, err error) {
	dir, err := os.MkdirTemp("", "devcluster-key-")
	if err != nil {
		return "", "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "key")
	if err := makeKey(ctx, file, comment); err != nil {
		return "", "", err
	}
	first, err := os.ReadFile(file)
	if err != nil {
		return "", "", err
	}
	second, err := os.ReadFile(file + ".pub")
	return string(first), string(second), err
}

func (l Layout) sftpAccounts(s Site) (map[string]sftpAccount, error) {
	names, err := l.tenants(s)
	if err != nil {
		return nil, err
	}
	out := map[string]sftpAccount{}
	for _, name := range names {
		var account sftpAccount
		if err := readJSON(l.tenantFile(s, name), &account); err != nil {
			return nil, err
		}
		out[name] = account
	}
	return out, nil
}

// nextUser is an id that no tenant has or had.
func nextUser(accounts map[string]sftpAccount) int {
	next := firstSFTPUser
	for _, account := range accounts {
		next = max(next, account.UID+1)
	}
	return next
}

// writeSFTPUsers writes the server's own user list. The running server sees these very files, so they are written in
// place.
func (l Layout) writeSFTPUsers(s Site) error {
	accounts, err := l.sftpAccounts(s)
	if err != nil {
		return err
	}
	passwd, shadow := sftpUsers(accounts)
	return errors.Join(os.WriteFile(l.site(s, "passwd"), []byte(passwd), 0o644),
		os.WriteFile(l.site(s, "shadow"), []byte(shadow), 0o600),
		os.WriteFile(l.site(s, "group"), []byte("root:x:0:\nnogroup:x:65534:\n"), 0o644))
}

// sftpUsers renders the lists. A password of "*" fits no password and, unlike "!", does not lock the account.
func sftpUsers(accounts map[string]sftpAccount) (passwd, shadow string) {
	const shell = "/usr/sbin/nologin"
	users := map[string]int{"root": 0, "sshd": 65533}
	for tenant, account := range accounts {
		users[sftpUser(tenant)] = account.UID
	}
	for name, uid := range users {
		passwd += fmt.Sprintf("%s:x:%d:%d::/:%s\n", name, uid, uid, shell)
		shadow += name + ":*:1::::::\n"
	}
	return passwd, shadow
}
