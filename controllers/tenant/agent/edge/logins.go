// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// ErrNoLimits says that this gate limits no logins, so it blocks nobody.
var ErrNoLimits = errors.New("this gate limits no logins: the class that it was made from has no spec.edge.logins")

// Block is a client that may not log in for a while.
type Block struct {
	// Client is the address that is blocked.
	Client netip.Addr
	// Until is when the block ends by itself.
	Until time.Time
	// Failures and Requests are how many there were within the last period.
	Failures, Requests int
}

// Blocked are the clients that this replica of the gate blocks now, in the order of their addresses.
func Blocked(ctx context.Context, c Config) ([]Block, error) {
	answer, err := table(ctx, c, fmt.Sprintf("show table %s data.gpt0 gt %d", meta.TableLogins, c.Clock.Now().Unix()))
	if err != nil {
		return nil, err
	}
	var blocks []Block
	for _, entry := range entries(answer) {
		block, err := entry.block()
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, block)
	}
	slices.SortFunc(blocks, func(a, b Block) int { return a.Client.Compare(b.Client) })
	return blocks, nil
}

// Unblock lets a client log in again and forgets what was counted of it.
func Unblock(ctx context.Context, c Config, client netip.Addr) error {
	blocks, err := Blocked(ctx, c)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(blocks, func(b Block) bool { return b.Client == client }) {
		return fmt.Errorf("%s is not blocked by this replica; each replica of the gate has a list of its own", client)
	}
	_, err = table(ctx, c, fmt.Sprintf("clear table %s key %s", meta.TableLogins, client))
	return err
}

// UnblockAll lets every client log in again and forgets what was counted.
func UnblockAll(ctx context.Context, c Config) error {
	_, err := table(ctx, c, "clear table "+meta.TableLogins)
	return err
}

// table sends a command about a table and tells refusals from answers, which begin with a comment or are empty.
func table(ctx context.Context, c Config, command string) (string, error) {
	answer, err := ask(ctx, c.statsSocket(), command)
	if err != nil {
		return "", fmt.Errorf("ask haproxy about blocked clients: %w", err)
	}
	switch said := strings.TrimSpace(answer); {
	case strings.HasPrefix(said, "No such table"):
		return "", ErrNoLimits
	case said != "" && !strings.HasPrefix(said, "# table:"):
		return "", fmt.Errorf("haproxy refuses %q: %s", command, said)
	}
	return answer, nil
}

// entry is one line of a table: names and values.
type entry map[string]string

func entries(answer string) []entry {
	var all []entry
	for line := range strings.Lines(answer) {
		if !strings.HasPrefix(line, "0x") {
			continue
		}
		found := entry{}
		for _, field := range strings.Fields(line) {
			if name, value, is := strings.Cut(field, "="); is {
				name, _, _ = strings.Cut(name, "(") // gpc0_rate(60000)
				found[name] = value
			}
		}
		all = append(all, found)
	}
	return all
}

func (e entry) block() (Block, error) {
	client, err := netip.ParseAddr(e["key"])
	if err != nil {
		return Block{}, fmt.Errorf("read a blocked client: %w", err)
	}
	until, errUntil := e.number("gpt0")
	failures, errFailures := e.number("gpc1_rate")
	requests, errRequests := e.number("gpc0_rate")
	block := Block{Client: client, Until: time.Unix(until, 0).UTC(), Failures: int(failures), Requests: int(requests)}
	return block, errors.Join(errUntil, errFailures, errRequests)
}

func (e entry) number(name string) (int64, error) {
	value, err := strconv.ParseInt(e[name], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s of a table's entry: %w", name, err)
	}
	return value, nil
}

// loginsInterval is how often the list of blocked clients is looked at.
const loginsInterval = 2 * time.Second

// watchLogins tells of each client that is blocked anew, until the context ends or the gate turns out to limit nothing.
func (h haproxy) watchLogins(ctx context.Context, state *tracker) {
	known := map[netip.Addr]time.Time{}
	said := ""
	for {
		blocks, err := Blocked(ctx, h.config)
		switch {
		case errors.Is(err, ErrNoLimits):
			return
		case err == nil:
			known = h.tellOfBlocks(blocks, known, state)
			said = ""
		case err.Error() != said:
			said = err.Error()
			h.config.Log.Warn("cannot tell who is blocked", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-h.config.Clock.After(loginsInterval):
		}
	}
}

// tellOfBlocks logs and counts the blocks that were not known and returns those that there are.
func (h haproxy) tellOfBlocks(blocks []Block, known map[netip.Addr]time.Time, state *tracker) map[netip.Addr]time.Time {
	now, fresh := map[netip.Addr]time.Time{}, 0
	for _, block := range blocks {
		now[block.Client] = block.Until
		if known[block.Client].Equal(block.Until) {
			continue
		}
		fresh++
		h.config.Log.Warn("blocked a client that tried to log in too often",
			"client", block.Client.String(), "until", block.Until, "failures", block.Failures, "requests", block.Requests)
	}
	state.blocks(len(blocks), fresh)
	return now
}
