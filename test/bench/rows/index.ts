/** All groups of rows, in the order of the table. */
import type { Experiment } from '../experiment.ts'
import { add_many_node, add_many_sql } from './add-many.ts'
import { add_one_node, add_one_sql } from './add-one.ts'
import { bytes } from './bytes.ts'
import { churn_free, churn_held } from './churn.ts'
import { dispatch } from './dispatch.ts'
import { drain_one, drain_two } from './drain.ts'
import { fan_out } from './fan-out.ts'
import { features } from './features.ts'
import { held_group } from './held-group.ts'
import { latency } from './latency.ts'
import { limit } from './limit.ts'
import { many_queues } from './many-queues.ts'
import { payload_size } from './payload-size.ts'
import { pick_many } from './pick-many.ts'
import { pick_one } from './pick-one.ts'
import { backlog, running_head } from './pick-times.ts'
import { types } from './types.ts'
import { workflow } from './workflow.ts'

export const EXPERIMENTS: readonly Experiment[] = [
  add_one_sql, add_one_node, add_many_node, add_many_sql, drain_one, drain_two, latency, pick_one, pick_many, churn_free, churn_held, backlog,
  running_head, held_group, limit, many_queues, payload_size, dispatch, workflow, fan_out, bytes, features,
  types,
]
