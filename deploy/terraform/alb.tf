# Ends TLS of the clients and speaks TLS to the instances. Blue and green share the traffic by
# weights, which `enroll release` changes: Terraform sets the first ones only.

resource "aws_lb" "this" {
  #checkov:skip=CKV2_AWS_76:The rule group KnownBadInputs is in a dynamic block; a test asserts it.

  name                       = local.name
  load_balancer_type         = "application"
  internal                   = false
  subnets                    = [for index in range(2) : aws_subnet.this["public-${index}"].id]
  security_groups            = [aws_security_group.this["alb"].id]
  enable_deletion_protection = var.deletion_protection
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  idle_timeout               = 60

  access_logs {
    bucket  = aws_s3_bucket.logs.id
    prefix  = "alb"
    enabled = true
  }

  depends_on = [aws_s3_bucket_policy.logs]
}

resource "aws_lb_target_group" "this" {
  for_each = local.colours

  name     = "${local.name}-${each.key}"
  port     = local.ports.https
  protocol = "HTTPS"
  vpc_id   = aws_vpc.this.id
  # A stopping instance answers for DRAIN_SECONDS; event streams end within this time.
  deregistration_delay          = 60
  load_balancing_algorithm_type = "round_robin"

  health_check {
    protocol            = "HTTPS"
    path                = "/health/ready"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  # TLS 1.3, and 1.2 with forward secrecy and authenticated encryption only.
  ssl_policy      = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
  certificate_arn = aws_acm_certificate_validation.api.certificate_arn

  default_action {
    type = "forward"

    forward {
      dynamic "target_group" {
        for_each = { blue = 100, green = 0 }

        content {
          arn    = aws_lb_target_group.this[target_group.key].arn
          weight = target_group.value
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [default_action]
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      protocol    = "HTTPS"
      port        = "443"
      status_code = "HTTP_301"
    }
  }
}
