"""Writes the catalogue's titles to an object, for a partner to fetch."""

from course_enrollment.models import Course
from course_enrollment.queue import TaskContext, task


@task("catalogue.export", queue="catalogue", max_attempts=3, timeout=60)
async def export_catalogue(context: TaskContext, partner: str) -> None:
    """Write the titles of all courses to an object of their own."""
    titles = await Course.all().order_by("title").values_list("title", flat=True)
    text = "".join(f"{title}\n" for title in titles)
    await context.storage.put(f"exports/{partner}/{context.id}.txt", text.encode(), "text/plain")
