// SPDX-License-Identifier: Apache-2.0

package render

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // Names of time zones are checked on nodes without a zone database too.
)

// rule says which values a parameter of postgresql.conf may have. PostgreSQL does not start with a value that it
// cannot take, so a bad one must be refused before the revision with it is approved.
type rule struct {
	// allowed tells the user what fits.
	allowed string
	fits    func(value string) bool
}

const (
	block = 8 * kib // what PostgreSQL counts buffers in
	tib   = int64(1) << 40
	day   = 24 * time.Hour
)

// superuserConnections is PostgreSQL's default of superuser_reserved_connections; reservedConnections are kept for
// the probes, the heartbeat and base backups, which may use them (pg_use_reserved_connections). The server does not start unless max_connections
// is more than both.
const (
	superuserConnections = 3
	reservedConnections  = 4
	leastConnections     = 2*superuserConnections + reservedConnections
	mostConnections      = 5000
)

// parameterRules are the parameters that may be set, with a memory limit in bytes. The ranges are PostgreSQL 17's
// (`postgres --describe-config`) except where that would let the server fail to start or run out of memory.
func parameterRules(memory int64) map[string]rule {
	timeout := duration(time.Millisecond, 0, 24*day)
	return map[string]rule{
		"autovacuum_analyze_scale_factor":     number(0, 100),
		"autovacuum_max_workers":              integer(1, 64),
		"autovacuum_naptime":                  duration(time.Second, time.Second, 24*day),
		"autovacuum_vacuum_cost_limit":        orMinusOne(integer(1, 10000)),
		"autovacuum_vacuum_scale_factor":      number(0, 100),
		"checkpoint_timeout":                  duration(time.Second, 30*time.Second, day),
		"deadlock_timeout":                    duration(time.Millisecond, time.Millisecond, 24*day),
		"default_statistics_target":           integer(1, 10000),
		"default_text_search_config":          textSearchConfig(),
		"effective_cache_size":                size(block, block, tib),
		"effective_io_concurrency":            integer(0, 1000),
		"hash_mem_multiplier":                 number(1, 1000),
		"idle_in_transaction_session_timeout": timeout,
		"idle_session_timeout":                timeout,
		"jit":                                 boolean(),
		"lock_timeout":                        timeout,
		"log_lock_waits":                      boolean(),
		"log_min_duration_statement":          orMinusOne(timeout),
		"maintenance_work_mem":                size(kib, 64*kib, tib),
		"max_connections":                     integer(leastConnections, mostConnections),
		"max_parallel_workers":                integer(0, 1024),
		"max_parallel_workers_per_gather":     integer(0, 1024),
		// Two segments of 16 MiB are the least that the server starts with.
		"max_wal_size":      size(mib, 32*mib, tib),
		"min_wal_size":      size(mib, 32*mib, tib),
		"random_page_cost":  number(0, 1e6),
		"shared_buffers":    noted(size(block, 16*block, memory/2), ", half of the memory limit"),
		"statement_timeout": timeout,
		"temp_file_limit":   orMinusOne(size(kib, 0, tib)),
		"timezone":          timeZone(),
		"track_io_timing":   boolean(),
		"wal_buffers":       orMinusOne(noted(size(block, 4*block, min(memory/8, gib)), ", an eighth of the memory limit and at most 1GB")),
		"work_mem":          size(kib, 64*kib, tib),
	}
}

// checkParameters refuses parameters and values that PostgreSQL would not take, naming the first by the alphabet.
func checkParameters(in Inputs) error {
	may := databaseLimits(in)
	set, rules := parameters(in), parameterRules(may.memory.Value())
	for _, name := range slices.Sorted(maps.Keys(set)) {
		where, value := parameterField(in, name), set[name]
		rule, known := rules[name]
		if !known {
			return invalid("%s: %q is not a parameter that can be set", where, name)
		}
		if len(value) > 64 || !parameterValuePattern.MatchString(value) || !rule.fits(value) {
			return invalid("%s: %s cannot be %q; allowed is %s", where, name, value, rule.allowed)
		}
	}
	return nil
}

// parameterField names the field that sets a parameter: the Tenant's goes before the class's.
func parameterField(in Inputs, name string) string {
	if own := in.Tenant.Spec.Database; own != nil {
		if _, is := own.Parameters[name]; is {
			return "spec.database.parameters"
		}
	}
	return "spec.database.parameters of class " + in.Class.Name
}

var wholePattern = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,9})$`)

func integer(least, most int64) rule {
	return rule{"a whole number from " + strconv.FormatInt(least, 10) + " to " + strconv.FormatInt(most, 10), func(value string) bool {
		has, err := strconv.ParseInt(value, 10, 64)
		return wholePattern.MatchString(value) && err == nil && least <= has && has <= most
	}}
}

var decimalPattern = regexp.MustCompile(`^[0-9]{1,7}([.][0-9]{1,9})?$`)

func number(least, most float64) rule {
	text := func(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }
	return rule{"a number from " + text(least) + " to " + text(most) + ", such as 1.5", func(value string) bool {
		has, err := strconv.ParseFloat(value, 64)
		return decimalPattern.MatchString(value) && err == nil && least <= has && has <= most
	}}
}

func boolean() rule {
	return rule{"on or off", func(value string) bool {
		return slices.Contains([]string{"on", "off", "true", "false", "yes", "no", "1", "0"}, strings.ToLower(value))
	}}
}

// measure reads a whole number with a unit; base is what a number without one counts.
func measure(value string, base int64, units map[string]int64) (int64, bool) {
	digits := strings.TrimRight(value, "BbkKMGTuimnshd ")
	unit := strings.TrimLeft(value[len(digits):], " ")
	factor, known := units[unit]
	if unit == "" {
		factor, known = base, true
	}
	has, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !known || !wholePattern.MatchString(digits) {
		return 0, false
	}
	// Ten digits of terabytes do not fit; nothing that large is allowed.
	if factor > 0 && has > (1<<62)/factor {
		return 0, false
	}
	return has * factor, true
}

var sizeUnits = map[string]int64{"B": 1, "kB": kib, "MB": mib, "GB": gib, "TB": tib}

// size is an amount of memory or storage in bytes; a value without a unit counts base.
func size(base, least, most int64) rule {
	return rule{"a whole number with kB, MB, GB or TB from " + sizeText(least) + " to " + sizeText(most), func(value string) bool {
		has, ok := measure(value, base, sizeUnits)
		return ok && least <= has && has <= most
	}}
}

func sizeText(bytes int64) string {
	for _, unit := range []string{"TB", "GB", "MB", "kB"} {
		if factor := sizeUnits[unit]; bytes >= factor && bytes%factor == 0 {
			return strconv.FormatInt(bytes/factor, 10) + unit
		}
	}
	return kilobytes(bytes)
}

var timeUnits = map[string]int64{"ms": int64(time.Millisecond), "s": int64(time.Second), "min": int64(time.Minute),
	"h": int64(time.Hour), "d": int64(day)}

// duration is a time; a value without a unit counts base.
func duration(base, least, most time.Duration) rule {
	return rule{"a whole number with ms, s, min, h or d from " + durationText(least) + " to " + durationText(most), func(value string) bool {
		has, ok := measure(value, int64(base), timeUnits)
		return ok && int64(least) <= has && has <= int64(most)
	}}
}

func durationText(length time.Duration) string {
	if length >= day && length%day == 0 {
		return strconv.FormatInt(int64(length/day), 10) + "d"
	}
	if length >= time.Second || length == 0 {
		return strconv.FormatInt(int64(length/time.Second), 10) + "s"
	}
	return strconv.FormatInt(length.Milliseconds(), 10) + "ms"
}

var textSearchPattern = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}([.][a-z_][a-z0-9_]{0,62})?$`)

func textSearchConfig() rule {
	return rule{"the name of a text search configuration such as pg_catalog.english", textSearchPattern.MatchString}
}

var zonePattern = regexp.MustCompile(`^(UTC|GMT|(Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Etc|Europe|Indian|Pacific)(/[A-Z][A-Za-z0-9_+-]*)+)$`)

// formerZones are names that Go still knows and that Debian keeps in the package tzdata-legacy, which the image of
// the database does not have.
var formerZones = strings.Fields(`Africa/Asmera America/Argentina/ComodRivadavia America/Buenos_Aires
America/Catamarca America/Cordoba America/Fort_Wayne America/Godthab America/Indianapolis America/Jujuy
America/Knox_IN America/Louisville America/Mendoza America/Rosario Antarctica/South_Pole Asia/Ashkhabad
Asia/Calcutta Asia/Choibalsan Asia/Chungking Asia/Dacca Asia/Katmandu Asia/Macao Asia/Rangoon Asia/Saigon
Asia/Thimbu Asia/Ujung_Pandang Asia/Ulan_Bator Atlantic/Faeroe Australia/ACT Australia/LHI Australia/NSW
Australia/North Australia/Queensland Australia/South Australia/Tasmania Australia/Victoria Australia/West
Europe/Kiev Europe/Uzhgorod Europe/Zaporozhye Pacific/Enderbury Pacific/Ponape Pacific/Truk`)

func timeZone() rule {
	return rule{"a current name of the IANA time zone database such as UTC or Europe/Vienna", func(value string) bool {
		_, err := time.LoadLocation(value)
		return err == nil && zonePattern.MatchString(value) && !slices.Contains(formerZones, value)
	}}
}

func orMinusOne(r rule) rule {
	return rule{r.allowed + ", or -1", func(value string) bool { return value == "-1" || r.fits(value) }}
}

func noted(r rule, note string) rule { return rule{r.allowed + note, r.fits} }
