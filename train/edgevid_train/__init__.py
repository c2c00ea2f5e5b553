"""Training: data, teachers, students, distillation, evaluation."""
