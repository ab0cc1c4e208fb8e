"""The shop's tasks: `enroll worker --app shop` runs them."""

from uuid import UUID

from infra.letters import confirmation

from course_enrollment.queue import TaskContext, rows, task


@task("shop.confirm", queue="shop")
async def confirm(context: TaskContext, order: UUID) -> None:
    """Write the letter of an order; it and the result commit together with the end of the task."""
    (found,) = await rows("SELECT email FROM public.orders WHERE id = $1", order)
    letter = confirmation(found["email"])
    context.set_result(letter)
    async with context.finishing():
        await rows("UPDATE public.orders SET letter = $2 WHERE id = $1", order, letter)
