"""What a fleet's store decides on jobs: who has them, who runs a slot, and what became of it."""

from __future__ import annotations

from msgspec.structs import replace

from plughost.contracts import (
    Claimed,
    ClaimVerdict,
    Enlisted,
    Enlistment,
    HeldRun,
    JobClaim,
    RunAsked,
    RunEnd,
    StoredJob,
)
from plughost.plugins.fleet.stores.tables import FleetTables

MOST_OVERDUE = 8
MOST_DEFINITIONS = 8


class JobRules(FleetTables):
    """The part of ``FleetRules`` that has to do with jobs."""

    def enlist(self, enlistment: Enlistment) -> Enlisted:
        """Note that a member has a job, or has it no more."""
        if self._known(enlistment.member, enlistment.incarnation) is None:
            return Enlisted(known=False)
        key, carriers = enlistment.job, f"carrier {enlistment.job}"
        job = self._job(key)
        if not enlistment.definition:
            self._documents.delete(carriers, enlistment.member)
            return Enlisted(known=True, slot=job.slot if job else 0)
        if new := job is None:
            job = StoredJob(job=key, slot=self._now)
        if enlistment.definition not in job.definitions:
            known = (*job.definitions, enlistment.definition)[-MOST_DEFINITIONS:]
            job = replace(
                job, definitions=known, schedule=enlistment.schedule, following=enlistment.following
            )
        self._put_job(job)
        self._documents.put(carriers, enlistment.member, enlistment.definition.encode())
        carriers_now = sum(1 for _ in self._carriers(key))
        return Enlisted(known=True, slot=job.slot, carriers=carriers_now, new=new)

    def claim(self, claim: JobClaim) -> Claimed:
        """Give a slot to one of those who ask for it."""
        job, verdict = self._judged(claim)
        if job is None:
            return Claimed(verdict=verdict, now=self._now)
        if verdict == "run":
            job = self._started(job, claim)
        elif verdict == "noted" or (verdict == "running" and not claim.keep):
            job = replace(
                self._accounted(job, claim),
                missed=job.missed + claim.missed + (verdict == "noted"),
                skipped=job.skipped + claim.skipped + (verdict == "running"),
            )
        if verdict in ("run", "noted", "running"):
            self._put_job(job)
        return Claimed(
            verdict=verdict,
            now=self._now,
            slot=job.run_slot if verdict == "run" else job.slot,
            token=job.token,
            attempt=job.attempt,
            ended=self._now if job.state == "running" else job.ended,
        )

    def ask_for_run(self, job: str) -> RunAsked:
        """Have a job run once out of turn."""
        found = self._job(job)
        if found is None:
            return RunAsked("unknown")
        if found.state == "running":
            return RunAsked("running")
        if not any(True for _ in self._carriers(job)):
            return RunAsked("nobody")
        if not found.asked:
            found = replace(found, asked=self._now)
            self._put_job(found)
        return RunAsked("asked", found.asked)

    def finish(self, end: RunEnd) -> bool:
        """Note the end of a run."""
        job = self._job(end.job)
        if job is None or job.token != end.token or job.state != "running":
            return False
        state, failures = ("failed", job.failures + 1) if end.error else ("done", job.failures)
        self._put_job(
            replace(
                job, state=state, ended=self._now, failures=failures, error=end.error,
                retry_at=self._now + job.retry_pause,
            )
        )  # fmt: skip
        return True

    def _judged(self, claim: JobClaim) -> tuple[StoredJob | None, ClaimVerdict]:
        if self._known(claim.member, claim.incarnation) is None:
            return None, "stranger"
        job = self._job(claim.job)
        if job is None or claim.definition not in job.definitions:
            return None, "unknown"
        if claim.slot <= job.slot:
            waits = job.state != "running" and (job.asked or self._is_to_be_given_again(job))
            return job, "run" if claim.start and waits else "taken"
        newer = job.definitions[job.definitions.index(claim.definition) + 1 :]
        if any(definition in newer for definition in self._carriers(claim.job)):
            return job, "old"
        if claim.slot > self._now:
            return job, "early"
        counts_passed = claim.missed or claim.skipped
        if job.slot < claim.previous or (counts_passed and job.slot != claim.previous):
            return job, "gap"
        if job.state == "running":
            return job, "running"
        return job, "run" if claim.start else "noted"

    def _started(self, job: StoredJob, claim: JobClaim) -> StoredJob:
        head = self._head()
        head = replace(head, token=max(head.token + 1, self._now * 1000))
        self._put_head(head)
        attempt = 1
        if claim.slot > job.slot:
            job = replace(
                self._accounted(job, claim),
                run_slot=claim.slot,
                missed=job.missed + claim.missed,
                skipped=job.skipped + claim.skipped,
            )
        elif self._is_to_be_given_again(job):
            attempt = job.attempt + 1
        else:
            job = replace(job, run_slot=job.asked, asked=0)
        return replace(
            job, state="running", member=claim.member, token=head.token, attempt=attempt,
            retries=claim.retries, retry_pause=claim.retry_pause, began=self._now, ended=0,
            until=self._now + claim.lease, starts=job.starts + 1, error="",
        )  # fmt: skip

    def _is_to_be_given_again(self, job: StoredJob) -> bool:
        return job.is_to_be_tried_again and job.retry_at <= self._now

    def _accounted(self, job: StoredJob, claim: JobClaim) -> StoredJob:
        return replace(job, slot=claim.slot, following=claim.following)

    def _extend(self, run: HeldRun, lease: int) -> bool:
        job = self._job(run.job)
        if job is None or job.token != run.token or job.state != "running":
            return False
        self._put_job(replace(job, until=self._now + lease))
        return True

    def _overdue(self, member: str) -> tuple[str, ...]:
        found = []
        for key, _ in self._documents.items("job"):
            job = self._job(key)
            if (
                job
                and job.is_overdue(self._now)
                and self._documents.get(f"carrier {key}", member) is not None
            ):
                found.append((job.waits_since, key))
        return tuple(key for _, key in sorted(found)[:MOST_OVERDUE])
