from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "sessions" (
    "id" UUID NOT NULL PRIMARY KEY,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ NOT NULL,
    "tokens_until" TIMESTAMPTZ NOT NULL,
    "revoked_at" TIMESTAMPTZ,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS "ix_sessions_revoked" ON "sessions" (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS "ix_sessions_open" ON "sessions" (user_id) WHERE revoked_at IS NULL;
CREATE INDEX IF NOT EXISTS "ix_sessions_expires" ON "sessions" (expires_at);
COMMENT ON TABLE "sessions" IS 'What a login opened; its id is in every token that comes of it.';
        CREATE TABLE IF NOT EXISTS "refresh_tokens" (
    "digest" VARCHAR(64) NOT NULL PRIMARY KEY,
    "expires_at" TIMESTAMPTZ NOT NULL,
    "used_at" TIMESTAMPTZ,
    "session_id" UUID NOT NULL REFERENCES "sessions" ("id") ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS "ix_refresh_tokens_session" ON "refresh_tokens" (session_id);
CREATE INDEX IF NOT EXISTS "ix_refresh_tokens_expires" ON "refresh_tokens" (expires_at);
COMMENT ON TABLE "refresh_tokens" IS 'A refresh token, known by its SHA-256 only: 64 hexadecimal digits.';
        ALTER TABLE "users" ADD "disabled_at" TIMESTAMPTZ;
        CREATE INDEX IF NOT EXISTS "ix_users_old_hashes" ON "users" ("left"((password_hash)::text, 7)) WHERE ((password_hash)::text ~~ '$2%'::text);

CREATE FUNCTION notify_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('revocations', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER sessions_revoked AFTER UPDATE OF revoked_at ON sessions
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL)
    EXECUTE FUNCTION notify_revoked();

-- Whoever writes: an operator's SQL ends the sessions too.
CREATE FUNCTION end_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sessions SET revoked_at = clock_timestamp()
    WHERE user_id = NEW.id AND revoked_at IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER users_end_sessions AFTER UPDATE OF role, disabled_at ON users
    FOR EACH ROW WHEN (NEW.role <> OLD.role
        OR (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL))
    EXECUTE FUNCTION end_sessions();
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP TRIGGER users_end_sessions ON users;
        DROP FUNCTION end_sessions;
        DROP INDEX IF EXISTS "ix_users_old_hashes";
        ALTER TABLE "users" DROP COLUMN "disabled_at";
        DROP TABLE IF EXISTS "refresh_tokens";
        DROP TABLE IF EXISTS "sessions";
        DROP FUNCTION notify_revoked;"""


MODELS_STATE = (
    "eJztXXtz4jgS/yoqaq+SVLGpDMkkc+zdVZGEmeE2IXeB7DNbRmABvhiZseww3N7sZ79u2c"
    "ZvsHlkHNZ/JUjdUvvXstTdasm/VyaGynRxfGXYpmCVOvm9wukE/4nUVEmFTqd+ORZYtK9L"
    "0oGkkWW0LyyTDiwoHlJdMChSmRiY2tTSDI7EDeKQHyO5agyAXuOjUM0jf+Q9bUJHTLFNvU"
    "c0QSgZGibTRpxQVTWZEFUiLChRCRVkpD0z/h2hnNhT3aAqlEpuZNQ46T1TU6PcEr0q0KiL"
    "ti0qnmTj1pgR/AH/UItM6BMDPqtKbG5pOvyHNCaj6lzKbHPtkw3cxogBowmS//obFGtcZZ"
    "8BBPj5e2WoMV2V/1cGwGkxVaEWMmtqBYnZ5yk+BEAiPH4Pd+2z4uKpcDZjQrJZ86msrEhe"
    "QBh/HPpNk+tm56pKNFX+c1T5UiUhIVRtONQGtm7NsYUNRPIbWimdT1ol2SW1NEtnucVacC"
    "WLIqux0yX9BYdp9o4Fo+ZgnNrzQ6fV/gDjk5NDezpl5uFVo9N1xCGNDvmhcX/1sXF/dIQk"
    "imWOJooxhaEdoA2Ilc4Rfyx/hCu5gPT50tEMtX1EfvzYvG+SUCFpdUj7rkvaDzc3lS/Y1f"
    "RJkdKFphiQDKpkueJ19fDQun4vKVEnfRBMtyfcp57OrbHBF+S2ranHyIN1I8aZieMsMPtw"
    "W9fdecorcl5gKLBMmy3eXNUvUNmQwrjF9v82tPlAgo89KTZMCOJ4YEym1DrGkot/uHIGeB"
    "QFnl3pNLuKEh1YdYLyRCY+t2gAmgGINZioEKUvTrs+OrK0gh3gCDg8PT+SeBjCGpmyUmJX"
    "+SIZqUUVfzj4kC+Gexj1qzE1k1FfMESAB1HXgdwr8DH3lwkPQA+iHYBamdDPis74yBrDz9"
    "rbt0tQdl+1Q6CSSBuwrjnrXdutqjl1X+TL5yEclCyGcxfeomScI2x7gfYScLvNn7rY8kSI"
    "T3oQ08Pbxk8S7sncrbm5a3/wyAM6uLq5u4xCH1rl4iO8ye2JRL8FYlI+YHEthFooshIql8"
    "0PrXa7eV8nlwzWApDpkbfa3eb9bfO61eg266TFLWZOmKqBsI+8cf1Do33VvK6ThvqMD69G"
    "DbAsr8yb8wxvzJvz1BcGq8JKW9h5eWalENNaanKn+qK8KpGJ6eTsXZaZCcjSpyZZGcY6bP"
    "iFwb6GGkubsGTAw5wRxFWX9dj750Vfk7YxOzza0SzVum12uo3bf4Wmqmt4u7CmFpqmvNLD"
    "6OBfNEJ+bHU/EvxJfrlrN6Or94Ku+wuacxVqW4bCjZkCHk8ADa/YKwop2J6qayo4zFkquK"
    "AKDtv1eaznKOMGhnTB5s71LWX0TIZPiYZy2BEKo/zeCUV8z+YxayKCqhtE6brNvEpc/VJf"
    "RJPOFv5cfGgBAPDYzJIQgBQBP7BPB08zaqpKCuyMm4auTxiKEMP90mV+//0902mKqexC3l"
    "w0VBybbWPkQ1OBF9XaDKcWKu8Hp6l9RcqJCm4I1INsZJ8gwvfRqBmB9zD0hsarJrVJtIRy"
    "GD6q2zf2FAobdw2L6pXUqLJTXV0dWlYspMwYYP5ozAjINXejyYIYQ0KJ79lhuNdkhJoJIe"
    "icvKtDwamxr2L6qqsjYn86T3VJLM0bvmHtwcOkhNI8+oiutFc584K88Ofb2puzi7N3p+dn"
    "74BECroouViiANB/kv2VbiLscrIK2AoJc1XYkkifqiKmS5adMGHZKtAfCDLV6YDhZhV1p5"
    "7viGYJEsC8Srhhya2qAfRdJSYb2gKmItKnKjF44n7a1tvPuffl9q+wCdXkyHen89VbEvYn"
    "JYCnEmpI8Vuppu1RhBiqZMER3ykJNeb0mW9rLCin29jKjTuvzyoJ9Lhqa2xT4VZJtUyUcg"
    "+nOHs4sbcqa9Q0xljkAPeaodPT2kmGdR+oUhd+WReOm0bevDxxtQhrGVgraGCtDI3vuYLL"
    "0PieKzhkyGU1SEJM27RLihH02W5MfLDIBdwwHu4nFb5OWFeGxEPDKhQOv2p0rhrXzWXR8J"
    "dxdVNjc1GSajanN1eM7kdMtASnkggdnM4xFUQwxsFNmzBM0SQj4zsnK1O2ifE2+VPYEyck"
    "p+uSU8Sd3q22vEF8DxvJERvyyLcTGtpFGO9FA0PVJe7P8i0ibZSKcYRxn6Jwf63VTk8vai"
    "en5+/enl1cvH13skA9XrUM/svWB9RAaBH3VBLzQHPiH+Qqwc8FfkECpaHNwoSlI7qZmL5u"
    "OHvGwS3M1YvGHc7q2n+ZsynjLLEHwsk8rmP2v9H/DxtYWI1Tet8ePDGL2DA2TNJ7YvNefL"
    "XYTpMJy8SvAWNppqnWuPJb1pWjjKi9eETN0VD21XpBv0/T2IYLto/mGJyBcR7jx2co8UzA"
    "c2iYk6SoRXqg1+fYwwjv9lOQ+3OLJdgyqeN1QV8O14ThCstinrHqku/hQN3J8ZIyylVGuc"
    "oo1wo/5Z4NQd3jrvHEeCXBTwnVV5f5KaZDCbY9kGbO63C5iOSqkiduzDjpz2XKRedj49va"
    "23NicH1eJ+dnZMw+U5UNwOfQiaqNtKSo1naazJu94aQVZDtAGgZKcXkllskJGovGExIdPk"
    "81aAw3XHJ37PKmd+w3viytAVBzcyWyrmM+R3FT8dZcyM7PMqxj52epyxhWrYjp+RqPQb5i"
    "fz3EWajNud0fonxtW3S2WG8DVmxz97WYpyz2Qr+BFSOHdRrmKs3T5eZpYGXd0D7t+C29Tm"
    "BXGqjhkVUkC9XDPsE4Dagl3S4VnkGUySKVm6KU6AbeRGJMQdmqk/+rqe4dOeyZmXPHuHRu"
    "wcENU7kjqlkpm6zrtyfv9/EXbnkHD3IzrpIZECMzGcPDg0F3THquZSdv45G0s7FslRGdCs"
    "tpUxA6GAAmTpfikUNbog4ymuwZSlTiAuZc5TNhkz7Dy4OkaLrBR8ekASNIG42gZ25YGqhR"
    "kB4yD+S5INHz+oGG1zGmXTmy2bSedhWXK92a9Zv1LmLxS8K3sERsbFhTzWyW/UIYVHS6JG"
    "6DKWIkiZDLzF9IsSUDv9xlefFdljLFcs/Nv9KL+1OoObge51V0lLdUdaFVHbBacio6zFm6"
    "7UXWsmcL5jCIAiylw77cYUeotuCtP7jNvE5IV7rqgQGV108PTlfR3ZpIdmKO+x6ie0R7gv"
    "tOb33oOBmelaSohltVXRrVCGSIZolqGDJS4EQc0JFnMh7AWeoVw9lYNkj7zn0mc8tnMQu0"
    "a7TFk5hZksHx7DXPk3WWxFom9BQr4VhenJUwm3gXaqVPJXgdVeb9+qnGBjIHWOjGjMwM86"
    "kK8wOsSBZeJe7EGqERLqgTjwHKmQyBCgwtDg0zMUq6pXZltBQGls168gRLD98yallsMrVE"
    "T55gcdOT8ZkPML450vCZZZPIgSRDDU8hY6d9eYsNUOl0XiXCeOQzd1ZkXHYjCGdMxVCqTD"
    "MglCD6MrvgmPRwxmSBYKzsGEx4bHc21gZjoJfNqMQ0Zo9chlhnVJCp3dc1MYbyiQ1zbh+m"
    "XJ0Co1p1hCSmzTlAJ2djSWKyqWFaVQI49PHpMJiMoOhgf60Tg5WDCN9yUzNMzbk3hz7D/I"
    "uDJlsYUg4rRbWXXDaO1FXi9eHepBDsxguRgsVnMfJ3cuDAdRALkAagziya5EkXLtBkWIxW"
    "mxx6glTJgauLg4Sr5JlqT5mCaXsrZLI/eXD5LKmC+TRryjXUuBxdefTo8aSLFWjVkytQtD"
    "TCvsYt+45U27v2X0KIzGvLIltYKZGkWnrLfxmHL04c3psGs5qoi2lz/1J039Sy3LMMVOnZ"
    "5LXYLcvUHCX4nv/s3LWT8fXoo0EybWCR/xFYM1+jEboEVkQiFBqL3f0eveY9Msaxgejd73"
    "KJyDOqFwz7d334tvL1fHSDFlMY4M6E6nqqjxXk+7q+1cnG/tRp7eJ84Urhj2VeVOe2cXMT"
    "PxsRtoQyp5aGuPZvvO7koMTC9omjvPpuzQXzV17zHMM3DnTl3w/NB7wh0yF45PcP7Xar/a"
    "HuOVGPvPNwddVsXiORsAcD8OiQ7n2jdYNFQ3BH8PcV3rR5I4sGiAQ6iVFH9uscynLEUUwG"
    "jygslmAmXhoGuDM8JWUggT2izD7wv6Q2k8MP21hRL+/ubkIr6mUr+rmUh9vLJmhAKgCINC"
    "e6Hp+hpqaBy2yCAbNqpvf5ypkejDo3QJMjIBlkee0Qbu00YTDYlQPLKNtaeBZt0dwytKHQ"
    "Vwza5dv7Ud5C5XGUOVmB+dyLuq6h5ChvmcVRZE0Ho8U5FR1hLfVcZD3jNlJSRkm6/+hzlL"
    "5jJt+RmaaRgHD61xsXDPsA8LKXZRefbcTtWYb7xXkQDzGVqOdH3fWME/P+0qeSMNc+4P4C"
    "GwJyrGIqlgXDOQ/aMcb9A/ztm1oGwIEqFXBZV37n8k9lAwmLmuspOMxZWrpF1nIwpSOnmi"
    "OspZ6LpueCJBi6X/VLSDH0v/eXnmQY+LDg6jTDjoUiEHl5XJ2otomt+GeZnbYwo45yMcPT"
    "yVXipMGrPpF3YSomR7nnkEMphzvqY4OE6DK/58Xze7AiYbdM49Scp2wwuxzRDTLvnsP9yT"
    "25dNNJFtMimJGXrXbj/udkX+oyIf3k8udus1FanPu/RpX3Lpb3LhbhzFb1tdy7KM8oJtlS"
    "7tnFJZYUUGQ9rsHxrhc8seN8yWNMxRhNmikVQtf6BwIPNRBDV0nvmxr9pofnCQR5ZqY2nC"
    "cc0tikNTya4d8bg1fOOB8TcbOqnfMcixNnqibwcVU8zwCGFBphBppTxDT0tT6viTLODFAa"
    "Cp0hpVuCrMCzSIZld6g8VnQ2tB4rh4ehPo7qdYxEVcnFkZcNn0xB/viDHHxT+8uB87NMAC"
    "+UgYjjIG8SeJBn744q7mQTKfx25oA6xriHifc7QRzn0WSgV2d8erxFxrrSuL5tteuEqhMN"
    "Vp5O9+G62e7Wvc88R9e2r5S3WXpC++0JeWbMGhqOsJZR2aLpOUdUNnYj6Yb3bezfbaQ7vW"
    "qjAR7IYFxJcLbcmqXuFvVpVvlb6TBsOSqcmsubaPMnZPC6c0Fxbc4dfxgR3Mzkm4HTTc0A"
    "S5ENnyIZmfhS5UDYJd9DdN+cZLnfBajSjceTk/jnbbjFkq5xST8+G2ApT9DmPEH7VXdhv/"
    "wfXStfGA=="
)
