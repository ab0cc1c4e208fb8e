from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
CREATE TABLE IF NOT EXISTS "task_schedules" (
    "name" VARCHAR(128) NOT NULL PRIMARY KEY,
    "last_slot" TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE "task_schedules" IS 'A kind of task that is enqueued once a slot, and the start of the last slot that was served.';
ALTER TABLE "tasks" ALTER COLUMN "available_at" SET DEFAULT clock_timestamp();

-- By hand, aerich has no words for it. Each task leaves three dead rows, so the table is vacuumed by
-- count rather than by share; and its pages keep room for the next version of a row.
ALTER TABLE "tasks" SET (
    fillfactor = 80,
    autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 10000, autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_analyze_threshold = 2000, autovacuum_analyze_scale_factor = 0,
    autovacuum_vacuum_cost_delay = 0);
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
ALTER TABLE "tasks" RESET (
    fillfactor,
    autovacuum_vacuum_threshold, autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_insert_threshold, autovacuum_vacuum_insert_scale_factor,
    autovacuum_analyze_threshold, autovacuum_analyze_scale_factor,
    autovacuum_vacuum_cost_delay);
ALTER TABLE "tasks" ALTER COLUMN "available_at" SET DEFAULT CURRENT_TIMESTAMP;
DROP TABLE IF EXISTS "task_schedules";
"""


MODELS_STATE = (
    "eJztXXtz27gR/yoYzXVsz6ieRHnWuXZGtpVEPUdpLfmuD3coiIQk1hSoEKQV9Zp+9u4CfI"
    "uUSEl2aB3/8VjELrD8AQR2F4vFr42ZbTBLnLY9w3Q73HWWjTPya4PTGYN/MkqbpEHn86gM"
    "H7h0ZElyinSaZU8k2Ui4DtVdKBhTSzB4ZDChO+bcNW2O5J85I0DQJLZDhrrtcXdIHDb2BJ"
    "ATe0xsKL8zuUHcKXWJDjIR3bIFI649Ye6UOafYjmHr0JDJJ/up8pbf8iFUYTtDYgpCiSeY"
    "g3g04X/douaMGbKaBVBDYwRe1+RkQYVqiBmqcXvOHAq1nP0oCf40JGN4DE3cct2ezSjIYJ"
    "mcvSMcKjuDvyPbWMpqgH4CbZj8lLQJvBn8cvy6BchJ9CnlE4aNOGxm36MMjr2QWHjc/OIx"
    "LXgZQOSf/4LH8MLsKxP489fG2GSWIf9vUBeZTKOBROzr3GFCQN+IgC8YBuZXLexajbMFE5"
    "LRXc5lcUNyQ2fjj2PA9bLTv2gS05D/nDS+NUmyWURXDpFt2g+5c5rHYuirIlLgONxBDJ89"
    "Vw4ozxQE65zfaVKWxOcGIkCRfK4Ftd7cdC/fS0oc6yNNty1vxiPq+dKd2jwk9zzTOEUeLJ"
    "swjoOQGbFvkHuW5X+vwSM1auCB63gsHC5G9MBgY+pZ+CU3fhx7XL4ZwZY0zzVhfoABPafu"
    "KT558ydfzhiPpvU+D7R+Z6BpjZVZAOVJfcX+Ix26ANA0uYs98es3VW+EjnzawAYuPravj1"
    "+8PpF42MKdOLJQYtf4JhmpS7Wo8yPIVd8nIb8EyFz4zrNhVxwp2A2f5TT4Zxv4gwcR/tHE"
    "GYAZwJUAuGcvjk8eBtpB91OnP2h/+gtWPxPiiyURag86WNKST5epp8eqJ2yY/dW6EFZCfu"
    "kOPhL8Sf7xuddJ91dIN/gHfq6wnri2xu2FRo04GsHj4JH8ssMODb/LZKdeTKmT06EhR6pT"
    "AaJH7cb9fCeNGf2qWYxP3Cn8fP1yTef+3L6Wn87rl6kO6/klLVn0LQGw7bnwvbNshDvcm0"
    "mUuyAT5TpbQTvGXmW4G5cwPs+IAYvzLb/uvL/pdy7PghU+rXYU6Yjnrwt0xPP0lxN1BBZ9"
    "S490tRCWGOiKYSvg/bWgmsO89epVAXiBKhdfWZYBsFZuUY7z7LA0VwzsXdbeCE+XOqCXlh"
    "mxEcfhDdlXz1sFhixQ5Q5ZWZYasoaB2mupWSFiOTyQ97/8OQxeU7iZ00I+yEmuw8P5eett"
    "keWt9TZ/fcOyJNTSfl9FucvdbJBD+hS+pnr6WIrF8x1AnWDDv289f/nm5dsXr1++BRIpXP"
    "jkzRqYu71BCkGDudS0MqaDP/c/97JBjLGkbRxTd8l/iWWKInBWbLiugQ2xSFg3waA8/tT+"
    "W3q8Xlx9Pk8vdVjBOSCPdv34LmZm4oMR1e8W1DG0lRK7ZefRrhbNWrP0E8rpRAKJb4zv53"
    "vrLmzPEayR4cfzS5rrfHi6pBHFPHhtoshXHXFhifSnmTMQVfMcy/epjW2HmRNO/LWnSQRo"
    "TcwgVJCJec/4O0I58eaWTQ30hCE3MpqcDO+pY1Lo1GETaIywbpeKO1m5O2UEfygP34zeMe"
    "BzmwSmBtOC/5DGYdRYbuMw04ETRrxWwmPk47nRbRZVvclxtbMQMG3fB91eThbShQ/g5rJD"
    "jg1zPDZ1+ESXqwJGZVjtDuJGFW2ELyJtkuJQuqZrsdJihVzZoshibLQgXGF18Y+ruDSCUU"
    "ef5opz0+/2PhB0UR978zlzji/a/YGSkbT7xJ/qTk6QRHOdyUyz5/BBxmhjYuVznCjXzvGY"
    "CteboxeM/JHY4/Hq60bfq1YK9YgvH/pE3SDSx851hyQekm6fwHpCejdXV7Untkqe2PAzKG"
    "wcBgxV9iNVyZ8Rl2wF5wF8RXkaYYLtINBe5/Hu/G2wXh0MHd5Xn3sfAvK0jpiCPrEkbuM3"
    "TdZQ5U5onHc+dHu9zvUZOWewRoBMtxxsk871p85ltz3onBEw4ZgzY4YJwt7y9uXP7d4F+l"
    "fbxj2+fEUcrKHWWmZWSjAdnqHfevayiKWPZPlTkyxM2foJLbHMflySs96Xq+i+nFIKt+ng"
    "JGfdwRXt4KReX0Z7TjPW+yYZvqQsoFdRfq8cKz+x5Yo2kULVdwkN/GqeJK7R00hEhy5Ce2"
    "51aAEA8NrMlRCAFDE7MNtRF8HOuGNb1oyhCCu4n/vM73+6ZhbNUZV9yDthRdXR2XZGPjEV"
    "BD663XDqYuf9rKo6VKSUj3NHoG5kJYcE0cO7xwe2S61Gro9cFTc3O8o1FykLuss/2gsCci"
    "1937iMSKUksuzQeY0xpU6GQ70k72bHdq7vq5q26maP2G/OUl3jSwuGb8Gd05D+++6c7sti"
    "3cMuakX28mK6QsZcldQk8qeqlOpSZF9PuJ4B9EeCzC2qM9x6o/7U846YriAxzJuE267ceN"
    "Oh7aYfJQf0IypD5bN2B/def8mdPL99jc2oKUe+P51v3pLwvmgxPLVERVpUSzNvjyLB0CQh"
    "R8ZGX7wy1Wa5fbS4nH5lG7chgzabJNbipn20XYXbJNU6Ueo9nOrs4ax8VUW9piuMVXZwb+"
    "k6fdF6VmDdB6rchV+WJf2mqS+vjF8txVo71irqWKtd4wfewbVr/MA7OKHIFVVIEkz71Euq"
    "4fTZr09cDyMbd/SHRyGSTxPWjS7xxLBKuMMv2v2L9mVnnTf8cUzdXN9cmqRZzOgt5aP7Bc"
    "NG8Xy3sMDonFJBBGOc4Jk1DDglE/udijGVdaK/Tf4U3ky55CxLcopVo3evNe/g38NKSviG"
    "AvL9uIYewo33yOH1+ebP+i0ic5KLcYrxkLxwf2i1Xrx403r24vXbVy/fvHn19lmI+mrROv"
    "jPux+wBxKL+OqJB9+QLIl/nKsGvxT4FXGUJjYLM5aO9GZi/rqh9ozjW5jFMpkI8z9Mbcqo"
    "JfZIqMjjMzzLYI/+zXQXi3FKH3n6HXOJB2PDIcM7thxmZzLZvcqMZeKfMWVpYRrutPGvoi"
    "tH7VF7dI+a6qHiq3VIf0jT2N7Ow03BGJiWUX4ihhrPDDzHtjPL8lrkO3ojjgP08O4/BHm0"
    "dFmGLpM7XkP6erhmDFdYFsuMVZ/8AAfqgxwvqb1ctZer9nJtsFN+YnO3zcVC6uIrVkqstL"
    "nORrkDOo1KwqIRHZwo+iamEBwxdc6a0AmA+I6YXDDHlUkHlQvKAWKVFwsNjAV6rkyXuMyy"
    "Mhxbe6xbnhY3zAkTbniau/+x/fvWq9cyfaNMqijz6unUssDUQccZzNNNMhyDNMyZg1DAKg"
    "9/+6aRn3vjSGDmRe6CnY95QciUfaUG08Ggsgi0iDEnjOrTUxK+jqoFpPDDTxxGlix8gFkc"
    "TRdfDB7ueJh8c7REvMc1n1MOiQ0HuNcFSCicy6yIEUd1g/q2XBL3lSkm35SLDdBSGnOS7Q"
    "C1kf0n6YH1z/Uy9OY+fOzWGi9gwLWV9lyxMxK+8vyi9eZ1qDfjj3Uqc/9T++oqy2yGmdIp"
    "lUYmxlKnkSmXRiZh/9lGhslybnLqLHMsQJ8jhXpoGB4M3uc+hCHeAPd5t9e+/nv2Qe3zDM"
    "jP/z7otOuTqIcfjVGRXYprNoYXmQ7sO8YbGfp/onytBeAoSlA2gbRwVLfPRSRXk9wBRJyM"
    "ljLgOlSzubXMUZCzArn3UWXZ2G2lJhdLH5MESvN581XnqPKMMOevcxMqK6axpxr2efMbji"
    "qvdfZHVhzX7OhHPV5yMUhyVmoxePgUKk9hSUhEYIrtwi/FPlf7p6N6Pbn+ja0YK12c75tO"
    "ctXO6fXO6djKuqN3uh/V9DSB3eieTo6sKvmnA+wzlNNYt+TrpSJQiApppDIkMrhCx55DZx"
    "vq9J9p+Pk+2T1zlkq59O/ssWfq8LPp5oRYbl+f9D5HC7f0QEu/MDeknxqZyRReHhS6UzL0"
    "NTuZWVTSLqZM+bgtKlxVpyBU1wET1aS45VCXOMMre9g9PDGID5hKSzpjsxHDRKhSNMvmk/"
    "gdQNx2TehGQYbIrEtHuBgG7UDF2yjTvhzFdNqgdzWfK1+bjaoN0jBGT5I5GFM6Nl63VEyz"
    "D4XBjs6XxK8wR4wsEUqp+aEUe1Lw6xirR4+xqj0+B67+1Vbcb6Kb4+tx2Y5O89ZdXemujm"
    "ktJTs6yVmb7VXu5UAXLKEQxVhqg329wY5Q7cFav/GreZqQbjTVYwOqrJ0en67SuzWpDd0S"
    "2d7Se0QHgvuD5nzrq/NdjSyvhl/UXOvViJ0PK+LVsKWnQHkc0JBn0h/AWe51KcVYdjj0WT"
    "ojy54zsVRo12iPeViKHAXVyl5jlcVah/NX67ihTJubMZsE6XTzpxJMRlt4v35uMl2eABSW"
    "vSAL27lrFoqnhTaAAC8cz/KS7qle6S2FgeWxoQzDHeJXRl2XzeauGMrz634ELr7zEfo3Jy"
    "a+s6wSOZBkbGIOImx0tPTDdS26bBJh3/KFPysyLpsRhDNmyDvQMcyAUILoy+iCUzLEGZPF"
    "nLGyYVDhsd7F1NSnQC+rMfC69FsuXax43/rcG1mmmMLzmQdz7ogF17w3lZDE8TgH6ORsLE"
    "kcNrcddcn8CN8OnckIigX61zY+WDmI8Ct3TNsxVdZMeg/zLw6aYm5IOaw0w1tzL5G6xD5o"
    "w8+jFm8mcJFiHCRe33Ok4DpacZDGoC4smuTJFy5WZVKMbo8cB4I0yZHfF0cZt04xw5szDQ"
    "/tbJDJ+xLAFbHkChbRbCnX2ORydJXpx4AnX6xYrYFcsUdrPexbXMilpNrfFWYSQmTeWhZZ"
    "w0aJJNXaC8FqP3x1/PDBNFhURQ2nzcMLiX+Q+1SpMykVwx3Q7xTAXTWcHzuCWy4RZUZ1yH"
    "B4lwft/6BHXGMqc9Qjzvd9batnO9tT+zjhkdSECoeWJrgOb7w+yDHpUPdZRXlzZv2Q+Tuv"
    "eUrxXQW68debzg3mx1cEt/z6ptfr9j6cBUbULe/fXFx0OpdIJDxdB4sO6d63u1f4aAzmCP"
    "6+wDz7V/KRjkigkZg2ZAstpHtPyaDE0fxTpSxDTTy3bTBneE7IQAZ7+qwO8D9mb2a7H/Zy"
    "Rufz56vEinreTV+WePPpvAM9IDsAiEzlXV+doeaOjcts6UN9cb56pgelznfQlHBIxlmeOo"
    "R7yyUSd3aVwDLNdkAnTfcGbcL1tQLt+u39NG+l4jj6X6xL9ev4SLds/U5DEWBNn82PT47q"
    "aC1/pg/8sVt0f5q3ju+ock/H/cglOzrFWvdzlfsZN5iyYk3yLcuIo7YqC1mVzHHsDITzb3"
    "UPGQ4B4HUfy0Nc544btwx3kssgnmCqUS+Pum8zZ0YE5k8lSa5DwP0RtgrkWNVkuqyvpU6b"
    "rzAeHuCvnrcKAA5UuYDLsjrryG9KBwIrz9mug5OctaZb5V6OB3uU7OYUa93PVevnCoUe9n"
    "UYKJ587cwQxLC8uSkUURM+aeGYxDsYPjKwD7jDDJl+hB5ex6rjzax4aYwKn5NX2OAMFgQD"
    "yrPR8gqcMAJPMOeeGVmBig/XGEYvDjDc0F7I499DGVc0xN2mI5WNlJjuGVaylHGKc8fjYU"
    "gg9zOR2g6Z0SUxHHuOlLNdo7S/bwRMhWK096jU5scb4eDQsm9D2uB8ijNWSuOqZ+oKzdQ3"
    "c8umyQ88WbJ2dvYkTcFpue+iCERmeTwjhudgLVE+ClUXzp0qhTBOZOookxERBVfe4AzKM2"
    "bjB2pjh+myjtF89BhNLFgFfV1C0oBjy4SkT2hurDOS1r6B+n7YSp51rm/OKHreubI3Z8hz"
    "5lm6lNh0WwYe4S5xTYYuT12qu1inVExRpZlTISxzdCTwYBqxLYMMf2jRH4Z4JkyQe+aY42"
    "X2xRhb14YGapT7C9OGKfPWPxmjzuSFp4YNU+DrGngmDRQpVMJsVKfAvrWKHh5OHNFBGRc2"
    "dBoKXeBYjgRZg3eRDOvyYN02LDZ2bxvHx4k2Ts7OcM+gSd6cBCeasinI//5Hjn5o/e5I/a"
    "wP8VRKQcRxUNaNEec5OFfGg2z3J7/OElCvMB7g4akHQRzn0WygN0ftB7xVxrrRvvzU7Z0R"
    "asxMWHn6g5vLTm9wRkSUH6MCsfe1JXTYllCgxmzRwynWev+sav1cwiu7klV6x5xJh5dR+k"
    "HTJbXBAtGnjQxjyy9Za27RiGaTvZUPw569wrnnMTJ1/oxTGP5cUF2dcy9nMPLVejAzs7O7"
    "56uaMZYqKz5VUjLxoyqBsE9+gOg+f1YkRxdQ5SuPz56tXlAsb/9cRTg/BUKMpc6CUDILwn"
    "fdhf32f2i2tlU="
)
