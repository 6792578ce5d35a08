// SPDX-License-Identifier: Apache-2.0

package proxy

// enterBudget counts the request as live traffic of its pool.
func (r *relay) enterBudget() {
	r.metrics.budget.Begin()
	r.budgeted = true
}

// leaveBudget ends that, when the request ends or turns out to be a stream that stays open: thousands of those say nothing of
// how much work the nodes have.
func (r *relay) leaveBudget() {
	if r.budgeted {
		r.metrics.budget.End(r.record.status > 0 && r.record.status < 500)
	}
	if r.retrying {
		r.metrics.budget.RetryDone()
	}
	r.budgeted, r.retrying = false, false
}

// mayRepeat takes the request's place among the retries, which it keeps to its end, and counts where there is none. Only what
// was sent needs one: a request that reached no node has put load on none.
func (r *relay) mayRepeat(last result) bool {
	if last != unanswered || r.retrying {
		return true
	}
	if r.retrying = r.metrics.budget.Retry(r.conf.RetryPercent, r.conf.MinRetries); !r.retrying {
		r.metrics.retriesRefused.Inc()
	}
	return r.retrying
}
