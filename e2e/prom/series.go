package main

import (
	"errors"
	"io"
	"math"
	"sort"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// Series by their labels, in memory.
type memory map[string]*entry

type entry struct {
	labels  labels.Labels
	samples []chunks.Sample
}

// A number at a time, in milliseconds.
type sample struct {
	at     int64
	number float64
}

func (s sample) T() int64                      { return s.at }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.number }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

func (m memory) add(of labels.Labels, at int64, number float64) {
	key := of.String()
	if m[key] == nil {
		m[key] = &entry{labels: of}
	}
	m[key].samples = append(m[key].samples, sample{at, number})
}

func milliseconds(at int64) int64 {
	return start.Add(time.Duration(at) * time.Second).UnixMilli()
}

func load(language parser.Parser, one testCase, every int64) (memory, error) {
	all := memory{}
	for name, values := range one.Series {
		of, sequence, err := language.ParseSeriesDesc(name + " " + values)
		if err != nil {
			return nil, err
		}
		for n, number := range sequence {
			if !number.Omitted {
				all.add(of, milliseconds(int64(n)*every), number.Value)
			}
		}
	}
	sort.SliceStable(one.Scrapes, func(a, b int) bool { return one.Scrapes[a].At < one.Scrapes[b].At })
	for _, scraped := range one.Scrapes {
		if err := all.scrape(scraped); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Takes in what an operator answered; what it does not answer any more is stale, as Prometheus has it.
func (m memory) scrape(scraped scrape) error {
	at, seen := milliseconds(scraped.At), map[string]bool{}
	text, err := textparse.New([]byte(scraped.Text), "application/openmetrics-text; version=1.0.0", nil, textparse.ParserOptions{})
	if err != nil {
		return err
	}
	for {
		kind, err := text.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if kind != textparse.EntrySeries {
			continue
		}
		_, _, number := text.Series()
		var of labels.Labels
		text.Labels(&of)
		builder := labels.NewBuilder(of)
		for name, text := range scraped.Labels {
			builder.Set(name, text)
		}
		of = builder.Labels()
		seen[of.String()] = true
		m.add(of, at, number)
	}
	for key, known := range m {
		if !seen[key] && known.has(scraped.Labels) {
			m.add(known.labels, at, math.Float64frombits(value.StaleNaN))
		}
	}
	return nil
}

func (e *entry) has(all map[string]string) bool {
	for name, text := range all {
		if e.labels.Get(name) != text {
			return false
		}
	}
	return true
}

func (m memory) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: m.find}, nil
}

func (m memory) find(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := &set{at: -1}
	for _, known := range m {
		if matches(known.labels, matchers) {
			found.series = append(found.series, storage.NewListSeries(known.labels, known.samples))
		}
	}
	sort.Slice(found.series, func(a, b int) bool {
		return labels.Compare(found.series[a].Labels(), found.series[b].Labels()) < 0
	})
	return found
}

func matches(of labels.Labels, matchers []*labels.Matcher) bool {
	for _, matcher := range matchers {
		if !matcher.Matches(of.Get(matcher.Name)) {
			return false
		}
	}
	return true
}

type set struct {
	series []storage.Series
	at     int
}

func (s *set) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *set) At() storage.Series                { return s.series[s.at] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

var _ storage.Queryable = memory{}
