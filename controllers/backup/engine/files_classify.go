// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/freehold-dev/freehold/controllers/internal/conditions"
)

// resticSigns are how failures are recognised in the words of restic, or those of the destination that it repeats. They
// are looked for in this order.
var resticSigns = []sign{
	signs(FailedRefused, "the clocks of this node and of the destination differ too much; set them right",
		`RequestTimeTooSkewed`, `request time .{0,60}too (large|skewed)`),
	signs(FailedFull, "the destination takes no more; give it room or raise its quota",
		`QuotaExceeded`, `StorageFull`, `507 `, `Insufficient ?Storage`, `no space left`, `disk quota`, `quota exceeded`),
	signs(FailedCertificate, "the server shows another host key than the policy pins; find out why before you change hostKeyFingerprint",
		regexp.QuoteMeta(OtherHostKey)),
	signs(FailedCertificate, "the destination's certificate is not trusted, or has expired; renew it there, or mend caBundle in the policy",
		`x509: `, `failed to verify certificate`),
	signs(FailedRefused, "the bucket or container does not exist; make it, or mend its name in the policy",
		`NoSuchBucket`, `bucket does not exist`, `ContainerNotFound`),
	signs(FailedRefused, "the destination does not accept the tenant's credentials, or they do not permit this; mend them, or the Secret that holds them",
		`Access ?Denied`, `InvalidAccessKeyId`, `Access Key Id you provided does not exist`, `SignatureDoesNotMatch`, `signature we calculated does not match`,
		`AuthenticationFailed`, `AuthorizationFailure`, `invalid_grant`, `401 Unauthorized`, `403 Forbidden`, `googleapi: Error 40[13]`,
		regexp.QuoteMeta(SSHKeyRefused), `sftp: .{0,20}permission denied`),
	signs(FailedKey, "what is stored there cannot be read with the tenant's key", `wrong password or no key found`),
	signs(FailedUnreachable, "the destination does not answer",
		`connection refused`, `connection reset`, `no such host`, `i/o timeout`, `TLS handshake timeout`, `network is unreachable`, `no route to host`,
		`context deadline exceeded`, `server misbehaving`, `50[0234] (Internal|Bad|Service|Gateway)`, `SlowDown`, `ServiceUnavailable`, `server unexpectedly closed connection`),
	signs(FailedDamaged, "what is stored there is damaged; another snapshot or another destination may be good",
		`ciphertext verification failed`, `hash mismatch`, `wrong hash`, `hash does not match`, `invalid data returned`, `not found in (repository|index)`,
		`unexpected (pack )?(file )?size`, `invalid (encrypted )?header`, `is damaged`, `is truncated`, `does not exist in the repository`, regexp.QuoteMeta(unreadableSnapshot),
		`decompressing .{0,100}failed`, `unable to load (index|tree)`, `specified key does not exist`,
		`(Load|ReadFull)\((<|\\u003c)(data|index|snapshot|key)/.{1,600}(no such file|not exist)`),
}

// The words of `freehold agent backup sftp`, by which its failures are known among those of restic.
const (
	// OtherHostKey is said of a server whose key is not the pinned one.
	OtherHostKey = "the SFTP server's host key is not the pinned one"
	// SSHKeyRefused is said of a server that does not let the user in.
	SSHKeyRefused = "the SFTP server does not accept the user's key"
)

// The exit codes of restic that tell something.
const (
	// ResticIncomplete is how a backup ends when files could not be read; there is a snapshot all the same.
	ResticIncomplete = 3
	// ResticNoRepository is how restic ends where there is no repository.
	ResticNoRepository = 10
	// ResticWrongPassword is how it ends when the passphrase opens nothing.
	ResticWrongPassword = 12
)

// ClassifyRestic says what a failure of restic means. code is its exit code, 0 if there is none; output is what it said.
func ClassifyRestic(code int, output string) Failure {
	said := essenceOfRestic(output)
	if code == ResticWrongPassword {
		return failure(FailedKey, "what is stored there cannot be read with the tenant's key", said)
	}
	for _, s := range resticSigns {
		if s.words.MatchString(output) {
			return failure(s.reason, s.advice, said)
		}
	}
	if said == "" {
		said = fmt.Sprintf("restic ended with code %d and said nothing", code)
	}
	return failure(FailedEngine, "", said)
}

// unreadableSnapshot is how restic begins to say that it passes over a snapshot, and then ends well.
const unreadableSnapshot = "failed to load snapshot"

// UnreadableSnapshots counts the snapshots that `restic snapshots` passed over since they are damaged, as its log says.
func UnreadableSnapshots(told string) int {
	return strings.Count(told, unreadableSnapshot)
}

// triedAgain is what restic says of a request that failed, and that it repeats for a quarter of an hour.
var triedAgain = regexp.MustCompile(`returned error, retrying after [^:]+: (.*)`)

// essenceOfRestic is what restic said, in one line: why it gave up, and of several troubles the first.
func essenceOfRestic(output string) string {
	words := pickResticWords(output)
	text := strings.TrimSpace(words.trouble + " " + strings.TrimPrefix(words.fatal, "Fatal: "))
	if words.again != "" && (text == "" || strings.Contains(text, "context canceled")) {
		text = words.again
	}
	if text == "" {
		text = words.last
	}
	text, _, _ = strings.Cut(text, "\ngithub.com/") // Where in restic's code it was.
	text = strings.TrimSpace(spaces.ReplaceAllString(text, " "))
	return conditions.Shorten(string(printable([]byte(text))), mostWords/2)
}

// resticWords are the telling lines of restic's log.
type resticWords struct {
	// fatal is why it gave up, trouble the first thing that went wrong with a file, again why a request was repeated last,
	// last the last line.
	fatal, trouble, again, last string
}

func pickResticWords(output string) (picked resticWords) {
	for line := range strings.Lines(output) {
		var m resticMessage
		switch line = strings.TrimSpace(line); {
		case line == "":
		case json.Unmarshal([]byte(line), &m) != nil:
			picked.plain(line)
		case m.Type == "exit_error":
			picked.fatal = m.Message
		case m.Type == "error" && picked.trouble == "":
			picked.trouble = m.trouble()
		}
	}
	return picked
}

// plain takes a line that is no JSON.
func (w *resticWords) plain(line string) {
	w.last = line
	if found := triedAgain.FindStringSubmatch(line); found != nil {
		w.again = found[1]
	}
	if strings.HasPrefix(line, "Fatal: ") {
		w.fatal = line
	}
}

// trouble is what went wrong with one file.
func (m resticMessage) trouble() string {
	if strings.Contains(m.Error.Message, m.Item) {
		return m.Error.Message
	}
	return m.Item + ": " + m.Error.Message
}
