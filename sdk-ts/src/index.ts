/** The public API of the package `pgq`. */
export { z } from 'zod'
export { fromDriver, fromPg, fromPglite, fromPostgresTransaction, type AnyDriver, type PgliteLike, type PgLike } from './adapters.ts'
export type { AddedJob, AddJobOptions, AddJobsOptions, AddOptions, JobSink, OnConflict, TimeoutResult } from './add.ts'
export { checkWorkflows, type CheckedWorkflow, type MissingStep } from './check-workflows.ts'
export type { CancelJobOptions, RedriveJobsOptions, RetryJobOptions, TransactionOption } from './control.ts'
export { previewSchedule, type PreviewScheduleOptions } from './cron.ts'
export { Dispatcher, startDispatcher } from './dispatcher.ts'
export type { DispatcherOptions, DispatcherStats, DispatcherStopOptions, RunningDispatcher } from './dispatcher-options.ts'
export type { EndpointDetails, EndpointSettings, EndpointStatus } from './endpoint.ts'
export { PgqError, type PgqErrorCode } from './errors.ts'
export { install, installedVersion, uninstall, type Installed, type InstallOptions } from './install.ts'
export type { PgqFileReader } from './install-script.ts'
export type { Job, JobHandle } from './job-handle.ts'
export { completeJobAndAdd, type CompleteAndAdd, type FollowUpJob } from './job-handler-answer.ts'
export type { EndpointHandler, EndpointQueue, JobHandlerOptions, JobRequestHandler } from './job-handler-options.ts'
export { createJobHandler } from './job-handler.ts'
export {
  addJobOnChange, listJobsOnChange, removeJobOnChange, type AddJobOnChangeOptions, type ChangeEvent, type JobOnChange,
} from './job-on-change.ts'
export type {
  JobSource, KeepAliveOptions, Lease, LeaseState, PickedJob, PickRequest, ReleaseBatch, ReleaseResult,
} from './job-source.ts'
export type { JobTarget, ListOptions, NamedOptions } from './job-target.ts'
export { toNodeListener, type NodeRequest, type NodeResponse } from './node-listener.ts'
export { completeJob, failJob, pauseJob, type FailJobOptions, type JobOutcome, type PauseJobOptions } from './outcome.ts'
export type { PayloadSchema } from './payload-schema.ts'
export { PostgresDb, type PoolerOptions } from './postgres-db.ts'
export type { ListenCallbacks, Queryable, QueryableQuery, Unlisten } from './queryable.ts'
export type { ProcessJobError, ProcessJobResponse } from './process-job.ts'
export { PgQueueConfig, type DropOptions, type PauseOptions, type QueueConfig, type QueueSettings } from './queue-config.ts'
export { PgQueue, type DispatchedJob, type PgQueueOptions, type PickJobsOptions } from './queue.ts'
export type { JobState, ReleaseJobOptions, ReleaseOptions } from './release.ts'
export {
  listSchedules, pauseSchedule, resumeSchedule, scheduleJob, unscheduleJob, type Schedule, type ScheduleCatchUp, type ScheduleDetails,
  type ScheduleJobOptions, type ScheduleOverlap,
} from './schedule.ts'
export type { FinishedStep, RunPosition, StepState } from './run-state.ts'
export { createSignalHandler, type SignalHandlerOptions } from './signal-handler.ts'
export type { SignalTexts } from './signal-page.ts'
export { signalByToken, signalJob, type SignalOptions } from './signal.ts'
export { DEFAULT_SCHEMA } from './sql-call.ts'
export type { JobAttempt, JobStatus, ListJobsOptions, QueueStats } from './status.ts'
export {
  completeRun, goToStep, sleepFor, sleepUntil, startChildren, waitForSignal, type ChildJob, type FailedChildren, type GoToStepOptions,
  type StartChildrenOptions, type StepOutcome, type WaitForSignalOptions,
} from './step-outcome.ts'
export type { OutputOf, Stored } from './step-output.ts'
export type { FinishedJob, WaitOptions } from './wait-for-result.ts'
export type { DispatchedJobContext, JobContext } from './worker-job.ts'
export type { JobHandler, StopOptions, Worker, WorkerLogger, WorkerOptions, WorkerStats } from './worker-options.ts'
export { startWorker, type PayloadOf } from './worker.ts'
export { createMultiStepPgQueueAsRecord } from './workflow-record.ts'
export type {
  AnyOutputs, ChildResult, FinishOptions, ReceivedSignal, RunnableWorkflow, SignalTokenOptions, Step, StepContext, StepSettings, WorkflowVersion,
} from './workflow-step.ts'
export { steps, type StepList, type TypedStep } from './workflow-steps.ts'
export {
  retryFromStep, workflowVersions, type RetryFromStepOptions, type WorkflowVersionsOptions, type WorkflowVersionStatus,
} from './workflow-versions.ts'
export {
  MultiStepPgQueue, type AddRunOptions, type AddRunsOptions, type ChildOptions, type DispatchedRun, type Steps, type WorkflowOptions,
} from './workflow.ts'
export type { AnyWorkflow } from './workflows.ts'
