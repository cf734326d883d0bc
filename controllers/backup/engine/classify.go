// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"html"
	"regexp"
	"strings"

	"github.com/freehold-dev/freehold/controllers/internal/conditions"
)

// mostWords bounds a Failure's message, in bytes.
const mostWords = 1000

// A sign is how a failure is recognised, in pgBackRest's words or those of the destination, and what it means.
type sign struct {
	words  *regexp.Regexp
	reason string
	// advice is what to do; empty if the words say it all.
	advice string
}

func signs(reason, advice string, words ...string) sign {
	return sign{words: regexp.MustCompile(`(?i)` + strings.Join(words, "|")), reason: reason, advice: advice}
}

// known are looked for in this order: a failure further up explains those further down.
var known = []sign{
	signs(FailedRefused, "the clocks of this node and of the destination differ too much; set them right",
		`RequestTimeTooSkewed`, `request time .{0,40}too (large|skewed)`),
	signs(FailedFull, "the destination takes no more; give it room or raise its quota",
		`QuotaExceeded`, `StorageFull`, `507 \(`, `Insufficient ?Storage`, `no space left`, `sftp error \[1[45]\]`, `disk quota`),
	signs(FailedCertificate, "the destination's certificate is not trusted, or has expired; renew it there, or mend caBundle in the policy",
		`unable to verify certificate`, `certificate verify failed`, `unable to find hostname .* in certificate`, `certificate has expired`),
	signs(FailedCertificate, "the server shows another host key than the policy pins; find out why before you change hostKeyFingerprint",
		`configured fingerprint .* do not match`, `known hosts failure`),
	signs(FailedRefused, "the bucket or container does not exist; make it, or mend its name in the policy",
		`NoSuchBucket`, `ContainerNotFound`),
	signs(FailedRefused, "the destination does not accept the tenant's credentials, or they do not permit this; mend them, or the Secret that holds them",
		`HTTP request failed with 40[13] `, `InvalidAccessKeyId`, `SignatureDoesNotMatch`, `AccessDenied`, `AuthorizationHeaderMalformed`, `AuthenticationFailed`,
		`invalid_grant`, `public key authentication failed`, `permission denied`),
	signs(FailedForeign, "what lies in the tenant's folder there belongs to another database; nothing was changed",
		`do(es)? not match the (stanza|database)`, `do not match stanza`, `database version .* do(es)? not match`, `backup and archive info files exist but do not match`,
		`directory not empty`, `already exists in the repo.* archive with a different checksum`),
	signs(FailedKey, "what is stored there cannot be read with the tenant's key",
		`is or was the repo encrypted`, `key/value found outside of section`, `unable to flush`),
	signs(FailedRefused, "the server in front of the destination's volume does not let the tenant's pods in; look at Secrets freehold-archive-tls and freehold-repository-tls",
		`protocol on '?backup-.{1,300}access denied`),
	signs(FailedUnreachable, "the server in front of the destination's volume does not answer; look at its pod, and at the volume's claim",
		`:8433 \(`, `protocol on '?backup-.{1,300}(timeout|unable to connect|unexpected eof)`, `unable to get address for 'backup-`),
	signs(FailedDatabase, "the database, or pgBackRest's server beside it, does not answer",
		`unable to find primary cluster`, `DbConnectError`, `:8432 \(`, `remote-\d+ (tls )?protocol on .{1,300}(timeout|unable to connect|unexpected eof)`),
	signs(FailedEngine, "the write-ahead log does not arrive in the destination; the database pod's log, and the condition PointInTimeRecoverable, say why",
		`was not archived before the`),
	signs(FailedUnreachable, "the destination does not answer",
		`HostConnectError`, `unable to get address`, `unable to connect to`, `timeout connecting`, `connection refused`, `connection reset`, `HTTP request failed with 5\d\d `,
		`unexpected eof`, `timeout after \d+ms`, `network is unreachable`),
	signs(FailedDamaged, "what is stored there is damaged; another base backup or another destination may be good",
		`does not match expected checksum`, `invalid checksum`, `\[026\]`, `decompress`, `(zst|lz4|zlib|bz2) error`, `data corruption`, `cipher header (invalid|missing)`, `digital envelope routines`, `unable to open missing file .*/backup/`),
}

// knownCodes are exit codes of pgBackRest that tell enough where the words do not.
var knownCodes = map[int]string{26: FailedDamaged, 28: FailedForeign, 40: FailedForeign, 44: FailedForeign, 45: FailedForeign, 49: FailedUnreachable, 51: FailedForeign, 95: FailedKey}

// Classify says what a failure of pgBackRest means. code is its exit code, 0 if there is none; output is what it said.
func Classify(code int, output string) Failure {
	said := essence(output)
	for _, s := range known {
		if s.words.MatchString(output) {
			return failure(s.reason, s.advice, said)
		}
	}
	if reason, ok := knownCodes[code]; ok {
		return failure(reason, "", said)
	}
	if said == "" {
		said = fmt.Sprintf("pgBackRest ended with code %d and said nothing", code)
	}
	return failure(FailedEngine, "", said)
}

func failure(reason, advice, said string) Failure {
	message := said
	if advice != "" {
		message = advice + " (" + said + ")"
	}
	return Failure{Reason: reason, Message: conditions.Shorten(message, mostWords)}
}

var (
	// entries are the beginnings of a log's lines.
	entries = regexp.MustCompile(`^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ )?(P\d\d )?\s*(ERROR|WARN|INFO|DETAIL|DEBUG|ASSERT): *(\[\d+\]: )?`)
	// headers are the parts of a failed HTTP request that nobody reads.
	headers = regexp.MustCompile(`(?s)\*\*\* (Path/Query|Request Headers|Response Headers) \*\*\*:.*?(\*\*\* Response Content \*\*\*:|$)`)
	// answer is what a server says in XML, rest what else stands around it.
	answer = regexp.MustCompile(`(?s)<\?xml.*?<Code>([^<]*)</Code>.*?<Message>([^<]*)</Message>.*`)
	rest   = regexp.MustCompile(`(?s)<(\?xml|Error|html|!DOCTYPE).*`)
	// asides are kinds of errors, hints to administrators, and how often something was tried again.
	asides = regexp.MustCompile(`(?m) at line \d+: .*$|\[[A-Z][A-Za-z]+Error\] ?|^\s*HINT: .*$|^\s*(\[\w+\] )?on \d+ retr(y|ies) from .*$`)
	spaces = regexp.MustCompile(`\s+`)
)

// essence is what pgBackRest said, in one line: its errors, or else its warnings, without what only its authors read.
func essence(output string) string {
	output = mostTelling(output)
	output = headers.ReplaceAllString(output, "")
	output = answer.ReplaceAllString(output, "$1: $2")
	output = rest.ReplaceAllString(output, "")
	output = asides.ReplaceAllString(output, "")
	output = strings.TrimSpace(spaces.ReplaceAllString(html.UnescapeString(output), " "))
	return conditions.Shorten(string(printable([]byte(output))), mostWords/2)
}

// mostTelling picks the errors out of a log, or, where there are none, the warnings, each with the lines that follow it.
func mostTelling(output string) string {
	picked := map[string][]string{}
	level := ""
	for line := range strings.Lines(output) {
		if begin := entries.FindStringSubmatch(line); begin != nil {
			level, line = begin[3], line[len(begin[0]):]
		}
		picked[level] = append(picked[level], line)
	}
	for _, level := range []string{"ASSERT", "ERROR", "WARN"} {
		if len(picked[level]) > 0 {
			return strings.Join(picked[level], "")
		}
	}
	return output
}
