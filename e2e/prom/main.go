// prom says what Prometheus makes of alert rules and of expressions: its own parser, engine and templates. One question on
// standard input as JSON, the answer on standard output.
//
// The package `rules` of Prometheus, which counts how long an alert has held, would bring the SDKs of three clouds along: that
// one rule of it, `for`, is here.
package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

type question struct {
	// Groups of rules, as in a rule file.
	Rules string `json:"rules"`
	// Seconds between samples, and between evaluations.
	Every int64      `json:"every"`
	Cases []testCase `json:"cases"`
	// Looked at, and not evaluated.
	Expressions []string `json:"expressions"`
}

type testCase struct {
	// Which alert is looked at.
	Alert string `json:"alert"`
	// Series and their values, as in unit tests of promtool: "up{job=\"a\"}": "0x5 1 stale".
	Series map[string]string `json:"series"`
	// What was scraped from an operator, and when.
	Scrapes []scrape `json:"scrapes"`
	// The last evaluation, in seconds.
	Until int64 `json:"until"`
}

type scrape struct {
	At     int64             `json:"at"`
	Labels map[string]string `json:"labels"`
	Text   string            `json:"text"`
}

type answer struct {
	// What is wrong with the rules.
	Problems    []string `json:"problems"`
	Cases       []judged `json:"cases"`
	Expressions []parsed `json:"expressions"`
}

type parsed struct {
	Problem   string     `json:"problem"`
	Selectors []selector `json:"selectors"`
	// Labels by which it groups and matches.
	Labels []string `json:"labels"`
}

type selector struct {
	Metric string `json:"metric"`
	// Name, operator and value of each.
	Matchers [][3]string `json:"matchers"`
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fail(err)
	}
	said, err := reply(asked)
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "prom:", err)
	os.Exit(1)
}

func reply(asked question) (answer, error) {
	language := parser.NewParser(parser.Options{})
	said := answer{Problems: []string{}, Cases: []judged{}, Expressions: []parsed{}}
	rules := map[string]rulefmt.Rule{}
	if asked.Rules != "" {
		silent := slog.New(slog.DiscardHandler)
		groups, problems := rulefmt.Parse([]byte(asked.Rules), false, model.UTF8Validation, language, silent)
		for _, problem := range problems {
			said.Problems = append(said.Problems, problem.Error())
		}
		if len(problems) > 0 {
			return said, nil
		}
		for _, group := range groups.Groups {
			for _, rule := range group.Rules {
				rules[rule.Alert] = rule
			}
		}
	}
	for n, one := range asked.Cases {
		rule, known := rules[one.Alert]
		if !known {
			return said, fmt.Errorf("case %d: no alert %q", n, one.Alert)
		}
		result, err := judge(language, rule, one, asked.Every)
		if err != nil {
			return said, fmt.Errorf("case %d, %s: %w", n, one.Alert, err)
		}
		said.Cases = append(said.Cases, result)
	}
	for _, text := range asked.Expressions {
		said.Expressions = append(said.Expressions, look(language, text))
	}
	return said, nil
}

func look(language parser.Parser, text string) parsed {
	found := parsed{Selectors: []selector{}, Labels: []string{}}
	tree, err := language.ParseExpr(text)
	if err != nil {
		found.Problem = err.Error()
		return found
	}
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			one := selector{Metric: node.Name, Matchers: [][3]string{}}
			for _, matcher := range node.LabelMatchers {
				if matcher.Name != labels.MetricName {
					one.Matchers = append(one.Matchers, [3]string{matcher.Name, matcher.Type.String(), matcher.Value})
				}
			}
			found.Selectors = append(found.Selectors, one)
		case *parser.AggregateExpr:
			found.Labels = append(found.Labels, node.Grouping...)
		case *parser.BinaryExpr:
			if node.VectorMatching != nil {
				found.Labels = append(found.Labels, node.VectorMatching.MatchingLabels...)
				found.Labels = append(found.Labels, node.VectorMatching.Include...)
			}
		}
		return nil
	})
	return found
}
