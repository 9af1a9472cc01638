package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/template"
)

// When the time of a case begins.
var start = time.Unix(1_800_000_000, 0)

type judged struct {
	// What fires at the end.
	Firing []alert `json:"firing"`
	// The seconds at which the expression held, for how long or short.
	Held []int64 `json:"held"`
}

type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// What an expression says at a moment.
type query func(ctx context.Context, text string, at time.Time) (promql.Vector, error)

func engine(language parser.Parser, series memory) query {
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: language,
		EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
	})
	return func(ctx context.Context, text string, at time.Time) (promql.Vector, error) {
		asked, err := engine.NewInstantQuery(ctx, series, promql.NewPrometheusQueryOpts(false, 0), text, at)
		if err != nil {
			return nil, err
		}
		defer asked.Close()
		result := asked.Exec(ctx)
		if result.Err != nil {
			return nil, result.Err
		}
		switch value := result.Value.(type) {
		case promql.Vector:
			return append(promql.Vector{}, value...), nil // it is reused after Close
		case promql.Scalar:
			return promql.Vector{promql.Sample{T: value.T, F: value.V}}, nil
		default:
			return nil, fmt.Errorf("%s is neither a vector nor a scalar", text)
		}
	}
}

// Evaluates the rule every so many seconds: an alert fires once its labels have been there for as long as `for` says.
func judge(language parser.Parser, rule rulefmt.Rule, one testCase, every int64) (judged, error) {
	series, err := load(language, one, every)
	if err != nil {
		return judged{}, err
	}
	said := judged{Firing: []alert{}, Held: []int64{}}
	ask := engine(language, series)
	since := map[string]int64{}
	for at := int64(0); at <= one.Until; at += every {
		now := start.Add(time.Duration(at) * time.Second)
		samples, err := ask(context.Background(), rule.Expr, now)
		if err != nil {
			return said, err
		}
		if len(samples) > 0 {
			said.Held = append(said.Held, at)
		}
		before := since
		since, said.Firing = map[string]int64{}, []alert{}
		for _, sample := range samples {
			raised, err := raise(ask, rule, sample, now)
			if err != nil {
				return said, err
			}
			key := labels.FromMap(raised.Labels).String()
			if _, twice := since[key]; twice {
				return said, fmt.Errorf("two alerts with the labels %s", key)
			}
			since[key] = at
			if began, holds := before[key]; holds {
				since[key] = began
			}
			if time.Duration(at-since[key])*time.Second >= time.Duration(rule.For) {
				said.Firing = append(said.Firing, raised)
			}
		}
	}
	return said, nil
}

func raise(ask query, rule rulefmt.Rule, sample promql.Sample, now time.Time) (alert, error) {
	data := template.AlertTemplateData(sample.Metric.Map(), nil, "", sample)
	fill := func(text string) (string, error) {
		variables := "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
		expander := template.NewTemplateExpander(context.Background(), variables+text, rule.Alert, data,
			model.TimeFromUnix(now.Unix()), template.QueryFunc(ask), &url.URL{}, nil)
		return expander.Expand()
	}
	raised := alert{Labels: sample.Metric.Map(), Annotations: map[string]string{}}
	delete(raised.Labels, labels.MetricName)
	for name, text := range rule.Labels {
		filled, err := fill(text)
		if err != nil {
			return raised, err
		}
		raised.Labels[name] = filled
	}
	for name, text := range rule.Annotations {
		filled, err := fill(text)
		if err != nil {
			return raised, err
		}
		raised.Annotations[name] = strings.TrimSpace(filled)
	}
	return raised, nil
}
